//! Resources of the agent, so that quotas, limit ranges and the pod's quality of service hold as before.

use std::collections::BTreeMap;

use super::{
    json::{Json, Members},
    layer::Resource,
    pod::{Container, Pod},
    quantity::Quantity,
};

/// What the agent needs beside its volumes, in MiB: its own memory, with room to spare.
const WORKING_MEMORY: u64 = 32;
/// Memory limit without further volumes, in MiB.
const MEMORY_LIMIT: u64 = 64;
/// Requested processor time: it works for milliseconds.
const CPU_REQUEST: u64 = 5;
/// Processor time in a Guaranteed pod, where the request is the limit, and so a brake.
const GUARANTEED_CPU: u64 = 50;

/// The agent's `resources`; none at all in a pod with pod-level resources, which bound it already.
pub fn of_agent(
    pod: &Pod<'_>,
    chosen: &BTreeMap<Resource, Option<Quantity>>,
    memory_volumes: &[&Quantity],
) -> Option<Json<'static>> {
    let volumes: u128 = memory_volumes.iter().map(|size| size.bytes()).sum();
    let needed =
        Quantity::at_least_bytes(Quantity::mebibytes(WORKING_MEMORY).bytes().saturating_add(volumes));
    let usual = Quantity::mebibytes(MEMORY_LIMIT);
    let memory = if needed.milli() > usual.milli() { needed } else { usual };
    let is_guaranteed = !pod.has_pod_resources && is_guaranteed(pod);
    let mut fields: BTreeMap<Resource, Quantity> = BTreeMap::new();
    if pod.has_pod_resources {
        // What the pod's author asks for by name still holds.
    } else if is_guaranteed {
        let cpu = Quantity::millicores(GUARANTEED_CPU);
        fields.extend([
            (Resource::CpuRequest, cpu.clone()),
            (Resource::CpuLimit, cpu),
            (Resource::MemoryRequest, memory.clone()),
            (Resource::MemoryLimit, memory),
        ]);
    } else {
        fields.extend([
            (Resource::CpuRequest, Quantity::millicores(CPU_REQUEST)),
            (Resource::MemoryRequest, Quantity::mebibytes(WORKING_MEMORY)),
            (Resource::MemoryLimit, memory),
        ]);
    }
    for (field, quantity) in chosen {
        match quantity {
            Some(quantity) => fields.insert(*field, quantity.clone()),
            None => fields.remove(field),
        };
    }
    for (request, limit) in
        [(Resource::CpuRequest, Resource::CpuLimit), (Resource::MemoryRequest, Resource::MemoryLimit)]
    {
        agree(&mut fields, chosen, (request, limit), is_guaranteed);
    }
    let mut requests = Members::default();
    let mut limits = Members::default();
    for (field, quantity) in fields {
        let (map, name) = match field {
            Resource::CpuRequest => (&mut requests, "cpu"),
            Resource::CpuLimit => (&mut limits, "cpu"),
            Resource::MemoryRequest => (&mut requests, "memory"),
            Resource::MemoryLimit => (&mut limits, "memory"),
            Resource::EphemeralStorageRequest => (&mut requests, "ephemeral-storage"),
            Resource::EphemeralStorageLimit => (&mut limits, "ephemeral-storage"),
        };
        map.push(name, quantity.to_string().into());
    }
    let mut resources = Members::default();
    for (name, map) in [("requests", requests), ("limits", limits)] {
        if !map.is_empty() {
            resources.push(name, map.into());
        }
    }
    (!resources.is_empty()).then_some(resources.into())
}

/// Brings the default of one half in line with the other half that the pod's author chose: the API server refuses a
/// request above its limit, and a Guaranteed pod stays one only while both are the same.
fn agree(
    fields: &mut BTreeMap<Resource, Quantity>,
    chosen: &BTreeMap<Resource, Option<Quantity>>,
    (request, limit): (Resource, Resource),
    is_guaranteed: bool,
) {
    let (default, given) = match (chosen.contains_key(&request), chosen.contains_key(&limit)) {
        (true, false) => (limit, request),
        (false, true) => (request, limit),
        _ => return,
    };
    let (Some(requested), Some(limited)) = (fields.get(&request), fields.get(&limit)) else { return };
    if is_guaranteed || requested.milli() > limited.milli() {
        let given = fields.get(&given).cloned();
        fields.extend(given.map(|given| (default, given)));
    }
}

/// Whether every container limits cpu and memory and requests just that.
fn is_guaranteed(pod: &Pod<'_>) -> bool {
    pod.all_containers().all(|container| ["cpu", "memory"].into_iter().all(|name| is_fixed(container, name)))
}

fn is_fixed(container: &Container<'_>, name: &str) -> bool {
    let quantity = |kind: &str| {
        let value = container.resources?.get(kind)?.get(name)?;
        let quantity: Quantity = match value {
            Json::Text(text) => text.parse().ok()?,
            Json::Number(number) => number.to_string().parse().ok()?,
            _ => return None,
        };
        Some(quantity.milli())
    };
    quantity("limits")
        .is_some_and(|limit| limit > 0 && quantity("requests").is_none_or(|request| request == limit))
}
