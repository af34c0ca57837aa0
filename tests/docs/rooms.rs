//! The picture of the code's rooms, drawn from its imports: `docs/images/rooms.svg`.
//!
//! A room is a module of the crate's root, an arrow an import. An arrow that others lead along already is left out.
//! `UPDATE_DOCS=1` draws it anew; only where a room stands from left to right, and what is said of it, is kept here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};

use super::root;

const PICTURE: &str = "docs/images/rooms.svg";

/// What a room does, in as few words as fit.
struct Room {
    name: &'static str,
    says: &'static str,
    /// From the left; the trunk of the house is 1.
    column: usize,
    is_pure: bool,
}

const fn room(name: &'static str, says: &'static str, column: usize, is_pure: bool) -> Room {
    Room { name, says, column, is_pure }
}

const ROOMS: &[Room] = &[
    room("cli", "commands", 1, false),
    room("demo", "all of it on one machine", 1, false),
    room("webhook", "answers the API server", 1, false),
    room("doctor", "what is wrong with it?", 0, false),
    room("convert", "from other operators", 3, true),
    room("probe", "is it installed well?", 0, false),
    room("manifest", "where a kind keeps its pod", 1, true),
    room("inject", "what becomes of a pod", 1, true),
    room("agent", "fetches, writes, starts", 1, false),
    room("client", "ESC over HTTP", 1, false),
    room("server", "a local ESC", 2, false),
    room("lang", "the environment language", 2, true),
    room("esc", "references, paths, values", 1, true),
    room("codes", "every error, and its fix", 0, true),
    room("kubeconfig", "where the API server is", 3, false),
    room("yaml", "YAML in and out", 1, true),
    room("secret", "bytes that show nothing", 2, true),
    room("exposure", "who else can use a file", 5, false),
    room("prose", "text for people", 4, true),
];

type Arrows = BTreeSet<(String, String)>;

/// Names of the modules of the crate's root.
fn rooms() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    modules.map(str::to_owned).collect()
}

/// What the code imports from room to room, tests aside.
fn imports(rooms: &BTreeSet<String>) -> Arrows {
    let mut arrows = Arrows::new();
    for from in rooms {
        let place = root().join("src").join(from);
        let mut texts = Vec::new();
        if place.is_dir() {
            collect(&place, &mut texts);
        } else {
            collect(&place.with_extension("rs"), &mut texts);
        }
        for text in texts {
            let named = named_rooms(&text).into_iter().filter(|to| to != from && rooms.contains(to));
            arrows.extend(named.map(|to| (from.clone(), to)));
        }
    }
    arrows
}

fn collect(path: &Path, texts: &mut Vec<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), texts);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        texts.push(
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n"),
        );
    }
}

/// The first names after each `crate::`, those of a group in braces one by one.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(name(rest));
            continue;
        };
        let (mut depth, mut begins) = (0_usize, true);
        for (at, c) in group.char_indices() {
            if begins && depth == 0 {
                names.insert(name(&group[at..]));
            }
            begins = c == ',';
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

/// Without the arrows that others lead along.
fn reduced(arrows: &Arrows) -> Arrows {
    let leads = |from: &str, to: &str, without: &(String, String)| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = open.pop() {
            for arrow in arrows.iter().filter(|arrow| arrow.0 == at && *arrow != without) {
                if arrow.1 == to {
                    return true;
                }
                if seen.insert(arrow.1.clone()) {
                    open.push(arrow.1.clone());
                }
            }
        }
        false
    };
    arrows.iter().filter(|arrow| !leads(&arrow.0, &arrow.1, arrow)).cloned().collect()
}

/// How many rooms lie below, one upon the other. None if rooms import each other in a circle.
fn floors(rooms: &BTreeSet<String>, arrows: &Arrows) -> Option<BTreeMap<String, usize>> {
    let mut floors: BTreeMap<String, usize> = rooms.iter().map(|room| (room.clone(), 0)).collect();
    for _ in 0..=rooms.len() {
        let before = floors.clone();
        for (from, to) in arrows {
            let above = floors[to] + 1;
            let floor = floors.get_mut(from)?;
            *floor = above.max(*floor);
        }
        if floors == before {
            return Some(floors);
        }
    }
    None
}

const WIDTH: usize = 190;
const HEIGHT: usize = 44;
const COLUMN: usize = 250;
const FLOOR: usize = 74;
const MARGIN: usize = 20;

fn draw(rooms: &BTreeSet<String>, arrows: &Arrows, floors: &BTreeMap<String, usize>) -> String {
    let known = |name: &str| ROOMS.iter().find(|room| room.name == name);
    let top = floors.values().max().copied().unwrap_or_default();
    // Rooms that nobody has placed yet stand at the right.
    let unplaced: Vec<_> = rooms.iter().filter(|name| known(name).is_none()).collect();
    let column = |name: &str| {
        let last = || 3 + unplaced.iter().position(|other| *other == name).unwrap_or_default();
        known(name).map_or_else(last, |room| room.column)
    };
    let places: BTreeSet<_> = rooms.iter().map(|name| (column(name), floors[name])).collect();
    assert_eq!(places.len(), rooms.len(), "two rooms stand in one place: give one another column");
    let columns = rooms.iter().map(|name| column(name)).max().unwrap_or_default() + 1;
    let x = |name: &str| MARGIN + column(name) * COLUMN;
    let y = |name: &str| MARGIN + (top - floors[name]) * FLOOR;
    let (wide, high) = (2 * MARGIN + (columns - 1) * COLUMN + WIDTH, 2 * MARGIN + top * FLOOR + HEIGHT + 30);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" \
         role=\"img\" aria-label=\"Rooms of the code and what they import\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <style>\n\
         rect {{ fill: #eef2f7; stroke: #57606a; }} .pure {{ fill: #dff3e4; }} text {{ fill: #1f2328; }}\n\
         path {{ fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip); }} #tip path {{ fill: #57606a; marker-end: none; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         rect {{ fill: #21262d; stroke: #8b949e; }} .pure {{ fill: #173a24; }} text {{ fill: #e6edf3; }}\n\
         path {{ stroke: #8b949e; }} #tip path {{ fill: #8b949e; }}\n\
         }}\n\
         </style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0 8 4 0 8z\"/></marker></defs>\n"
    );
    for (from, to) in arrows {
        let (begin, end) = (x(from) + WIDTH / 2, x(to) + WIDTH / 2);
        let line = if begin == end {
            format!("M{begin} {} V{}", y(from) + HEIGHT, y(to))
        } else if column(from) == 1 {
            // Out of the trunk sideways, then down.
            let side = if end < begin { x(from) } else { x(from) + WIDTH };
            format!("M{side} {} H{end} V{}", y(from) + 2 * HEIGHT / 3, y(to))
        } else {
            // Towards it, down between the columns, and into it.
            let (out, side) = if end < begin { (x(from), x(to) + WIDTH) } else { (x(from) + WIDTH, x(to)) };
            let gutter = if end < begin { out - (COLUMN - WIDTH) / 2 } else { out + (COLUMN - WIDTH) / 2 };
            format!("M{out} {} H{gutter} V{} H{side}", y(from) + 2 * HEIGHT / 3, y(to) + HEIGHT / 3)
        };
        writeln!(svg, "<path d=\"{line}\"><title>{from} imports {to}</title></path>").unwrap();
    }
    for name in rooms {
        let (left, above) = (x(name), y(name));
        let (class, says) = match known(name) {
            Some(room) if room.is_pure => (" class=\"pure\"", room.says),
            Some(room) => ("", room.says),
            None => ("", ""),
        };
        let middle = left + WIDTH / 2;
        writeln!(
            svg,
            "<rect{class} x=\"{left}\" y=\"{above}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>\
             <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{says}</text>",
            above + 19,
            above + 35
        )
        .unwrap();
    }
    writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{}\">An arrow is an import; those that others lead along are left out. Green: no I/O, no clock.</text>",
        high - 10
    )
    .unwrap();
    svg + "</svg>\n"
}

#[test]
#[expect(clippy::disallowed_methods, reason = "writes the repository's own picture")]
fn the_picture_shows_the_rooms_and_arrows_of_the_code() {
    let rooms = rooms();
    let arrows = reduced(&imports(&rooms));
    let floors = floors(&rooms, &arrows).expect("no rooms import each other in a circle");
    let fresh = draw(&rooms, &arrows, &floors);
    let path = root().join(PICTURE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let drawn = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(drawn == fresh, "{PICTURE} is not what the code imports: UPDATE_DOCS=1 draws {arrows:?}");
    let gone: Vec<_> = ROOMS.iter().map(|room| room.name).filter(|name| !rooms.contains(*name)).collect();
    assert!(gone.is_empty(), "there are no such rooms: {gone:?}");
}

/// What design and security rest on; the picture would change, and this says why it must not.
#[test]
fn what_decides_knows_nothing_of_what_serves() {
    let rooms = rooms();
    let arrows = imports(&rooms);
    for (from, to) in [
        ("webhook", "agent"),
        ("webhook", "client"),
        ("webhook", "server"),
        ("agent", "server"),
        ("agent", "webhook"),
        ("server", "agent"),
        ("inject", "client"),
        ("lang", "server"),
        ("esc", "client"),
    ] {
        assert!(!arrows.contains(&(from.to_owned(), to.to_owned())), "{from} imports {to}");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::{\n    a::{b, c::d},\n    e,\n};\nfn f() { crate::g::h() }\nuse crate::i;";
    let expected = ["a", "e", "g", "i"].map(str::to_owned);
    assert_eq!(named_rooms(code).into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>(), expected);
    let arrows = [("a", "b"), ("b", "c"), ("a", "c")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(reduced(&arrows.into()).len(), 2);
}
