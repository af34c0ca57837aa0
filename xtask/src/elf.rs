//! What an executable says of itself: for which processor it is, and whether it needs anything beside it.

use std::fmt;

/// A processor that images are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl fmt::Display for Architecture {
    /// As OCI names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// Why a file can't be the only one of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No ELF, or cut off, or not of 64 bits.
    #[error("it is no 64-bit little-endian ELF executable")]
    NotElf,
    /// A processor without images.
    #[error("it is for processor {0:#x}, and images are made for amd64 and arm64")]
    Processor(u16),
    /// It names a dynamic loader, which is not in the image: there it would fail with "no such file or directory".
    #[error(
        "it is linked dynamically, and nothing to link with is in the image; build it with `cargo xtask dist`"
    )]
    Dynamic,
}

/// `PT_INTERP`: the program header that names the dynamic loader.
const INTERPRETER: u32 = 3;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// Judges a file. The format is that of the System V ABI: a header, and in it the place of the program headers.
pub fn judge(file: &[u8]) -> Result<Architecture, Unfit> {
    // 64-bit, little-endian.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err(Unfit::NotElf);
    }
    let architecture = match u16::from_le_bytes(read(file, 18)?) {
        X86_64 => Architecture::Amd64,
        AARCH64 => Architecture::Arm64,
        other => return Err(Unfit::Processor(other)),
    };
    let table = usize::try_from(u64::from_le_bytes(read(file, 32)?)).map_err(|_| Unfit::NotElf)?;
    let size = usize::from(u16::from_le_bytes(read(file, 54)?));
    let count = usize::from(u16::from_le_bytes(read(file, 56)?));
    for index in 0..count {
        let at = table.checked_add(index * size).ok_or(Unfit::NotElf)?;
        if u32::from_le_bytes(read(file, at)?) == INTERPRETER {
            return Err(Unfit::Dynamic);
        }
    }
    Ok(architecture)
}

fn read<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], Unfit> {
    file.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(Unfit::NotElf)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The least that is an executable: a header and one program header of this type.
    pub fn executable(machine: u16, program_header: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&1_u16.to_le_bytes());
        file[64..68].copy_from_slice(&program_header.to_le_bytes());
        file
    }

    #[test]
    fn only_static_executables_of_known_processors_fit() {
        assert_eq!(judge(&executable(X86_64, 1)), Ok(Architecture::Amd64));
        assert_eq!(judge(&executable(AARCH64, 1)), Ok(Architecture::Arm64));
        assert_eq!(judge(&executable(X86_64, INTERPRETER)), Err(Unfit::Dynamic));
        assert_eq!(judge(&executable(40, 1)), Err(Unfit::Processor(40)));
        assert_eq!(judge(b"#!/bin/sh\n"), Err(Unfit::NotElf));
        assert_eq!(judge(&executable(X86_64, 1)[..60]), Err(Unfit::NotElf));
        assert_eq!(judge(&executable(X86_64, 1)[..64]), Err(Unfit::NotElf));
    }

    #[test]
    fn a_test_binary_which_is_linked_as_usual_does_not_fit() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(judge(&own), Err(Unfit::Dynamic));
    }
}
