//! The processes below a process, as the kernel lists them.
#![allow(dead_code, reason = "every test binary uses its own part")]

/// The nurseries of `node`: one, or none at rest; one more while an older one waits for its last workers.
pub fn nurseries_of(node: u32) -> Vec<u32> {
    children_named(node, "nursery")
}

/// The worker processes of `node`.
pub fn workers_of(node: u32) -> Vec<u32> {
    let nurseries = nurseries_of(node).into_iter();
    nurseries.flat_map(|nursery| children_named(nursery, "worker")).collect()
}

/// Its direct children, those that nobody has waited for among them.
pub fn children_of(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")));
    let ids = |list: String| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>();
    lists.flatten().flat_map(ids).collect()
}

fn children_named(parent: u32, name: &str) -> Vec<u32> {
    let named = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/comm"));
    let children = children_of(parent).into_iter();
    children.filter(|id| named(id).is_ok_and(|found| found.trim_end() == name)).collect()
}
