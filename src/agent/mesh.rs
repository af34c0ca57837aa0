//! Service meshes that redirect a pod's connections, and what keeps them from it. Pure.
//!
//! A mesh's rules send what a pod says to the mesh's proxy. Where the proxy is an ordinary container, it starts after
//! all init containers, and until then nobody takes the connections that are sent to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mesh that is known by its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mesh {
    /// Istio.
    Istio,
    /// Linkerd.
    Linkerd,
    /// Consul.
    Consul,
    /// Kuma, and what is made of it.
    Kuma,
}

impl Mesh {
    /// The mesh that gives containers this name.
    pub fn of_container(name: &str) -> Option<Self> {
        match name {
            "istio-init" | "istio-proxy" | "istio-validation" => Some(Self::Istio),
            "linkerd-init" | "linkerd-proxy" | "linkerd-network-validator" => Some(Self::Linkerd),
            "consul-connect-inject-init" | "consul-dataplane" => Some(Self::Consul),
            "kuma-init" | "kuma-sidecar" | "kuma-validation" => Some(Self::Kuma),
            _ => None,
        }
    }

    /// Whether it is the container with which a mesh sets its rules.
    pub fn is_set_up_by(name: &str) -> bool {
        matches!(name, "istio-init" | "linkerd-init" | "consul-connect-inject-init" | "kuma-init")
    }

    /// The pod's annotation that takes a port out of the redirection.
    pub fn exclusion(self) -> &'static str {
        match self {
            Self::Istio => "traffic.sidecar.istio.io/excludeOutboundPorts",
            Self::Linkerd => "config.linkerd.io/skip-outbound-ports",
            Self::Consul => "consul.hashicorp.com/transparent-proxy-exclude-outbound-ports",
            Self::Kuma => "traffic.kuma.io/exclude-outbound-ports",
        }
    }

    /// The one that takes addresses out of it, where the mesh has one.
    pub fn address_exclusion(self) -> Option<&'static str> {
        match self {
            Self::Istio => Some("traffic.sidecar.istio.io/excludeOutboundIPRanges"),
            Self::Consul => Some("consul.hashicorp.com/transparent-proxy-exclude-outbound-cidrs"),
            Self::Linkerd | Self::Kuma => None,
        }
    }
}

impl fmt::Display for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Istio => "Istio",
            Self::Linkerd => "Linkerd",
            Self::Consul => "Consul",
            Self::Kuma => "Kuma",
        })
    }
}
