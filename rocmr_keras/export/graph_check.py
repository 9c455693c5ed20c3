"""Reads a SavedModel's graph for ops that touch files, the network or Python."""

import re

# Names of ops of these kinds, today's and most likely tomorrow's: `ReadFile`, `WriteFile`,
# `MatchingFiles`, `InitializeTableFromTextFileV2`, `PyFunc`, `EagerPyFunc`, `TextLineDataset`,
# `TFRecordDatasetV2`, `SnapshotDatasetV2`, `DebugIdentityV2` (writes to URLs), `PrintV2` (to
# files), `ImmutableConst` (maps a file), `DecodeProtoV2` (reads descriptors), `DataServiceDataset`.
_FORBIDDEN = re.compile(
    "File|PyFunc|Reader|TextLine|Record|Save|Restore|Checkpoint|Snapshot|CacheDataset|Summary|Debug"
    "|Print|ImmutableConst|Proto|DataService|Rpc|Sql|LMDB|Bigtable|GeneratorDataset|LoadDataset"
    "|ImportEvent|LoadTPU|LoadAll"
)
# A saver needs these, on the paths that it is handed, and nothing else may have them.
_SAVER = {
    "save": {"MergeV2Checkpoints", "SaveV2", "ShardedFilename"},
    "restore": {"RestoreV2"},
}


def find_forbidden(path):
    """Lists the ops of a SavedModel that serving has no need of.

    Args:
        path: Path of the file `saved_model.pb`.

    Returns:
        A sorted list of strings, `"op in function"`.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    with open(path, "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    return sorted({fault for graph in saved.meta_graphs for fault in _check(graph)})


def _check(meta_graph):
    graph = meta_graph.graph_def
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    saver = {"save": set(), "restore": set()}
    others = {node.name for node in graph.node}
    for kind, tensor in (
        ("save", meta_graph.saver_def.save_tensor_name),
        ("restore", meta_graph.saver_def.restore_op_name),
    ):
        name = tensor.split(":")[0]
        nodes = [node for node in graph.node if node.name == name]
        saver[kind] = _reachable(nodes, functions)
        others.discard(name)
    used = _reachable([node for node in graph.node if node.name in others], functions)
    groups = [("graph", [n for n in graph.node if n.name in others], set())]
    for name, nodes in functions.items():
        # What the saver alone calls may do its work; the rest is judged as if it ran.
        kinds = [kind for kind in saver if name in saver[kind]]
        allowed = set.intersection(*(_SAVER[kind] for kind in kinds)) if kinds else set()
        groups.append((name, nodes, set() if name in used else allowed))
    return [
        f"{node.op} in {name}"
        for name, nodes, allowed in groups
        for node in nodes
        if _FORBIDDEN.search(node.op) and node.op not in allowed and node.op not in functions
    ]


def _reachable(nodes, functions):
    found, waiting = set(), list(nodes)
    while waiting:
        for name in _called(waiting.pop()):
            if name in functions and name not in found:
                found.add(name)
                waiting += functions[name]
    return found


def _called(node):
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)
