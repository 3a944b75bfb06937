"""Why a module or a name that the tree does not show may still exist when its code runs.

Asked only about suspects, so each answer may read files: generated modules, compiled extensions, ignored files that are
on the disk, symbolic links, submodules, packages that extend their own path, modules that fill their own namespace.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from typing import Final

from regreen.facts.source.ignore import Ignore
from regreen.facts.source.index import Index
from regreen.facts.source.trees import FolderTree, GitTree, OverlayTree, git

_GENERATED: Final = frozenset(
    {
        "_version",
        "version",
        "__version__",
        "_versions",
        "__about__",
        "_version_info",
        "build_info",
        "_build_info",
        "__config__",
    }
)
_NATIVE: Final = (
    ".c",
    ".cc",
    ".cpp",
    ".cxx",
    ".rs",
    ".pyx",
    ".pyx.in",
    ".m",
    ".zig",
    ".go",
    ".cu",
    ".f90",
    ".swg",
    ".i",
)
_EXTENDS: Final = re.compile(
    rb"extend_path|declare_namespace|__path__|sys\.modules\[|sys\.meta_path|import_hook|lazy_import"
)
_FILLS: Final = re.compile(
    rb"global_enum|globals\(\)|locals\(\)|vars\(\)|setattr\(|__dict__|sys\.modules|exec\(|eval\(|__getattr__|lazy|def_function|_add_"
)


def module_may_exist(index: Index, key: str, importer: str) -> str:
    """Why a module at `key` (its path without suffix) may exist although the tree does not show it; empty if it may not."""
    leaf = key.rpartition("/")[2]
    if leaf in _GENERATED:
        return "such modules are written by build tools"
    if leaf.endswith(("_pb2", "_pb2_grpc", "_grpc", "_ui", "_rc", "Parser", "Lexer", "Listener", "Visitor")):
        return "such modules are generated"
    if key in index.derive("every folder", _folders):
        return "a folder of that name holds files that are not Python"
    if "{" in key or "{{" in importer:
        return "a template"
    if _native(index, leaf) or any(
        index.tree.exists(f"{folder}/{name}")
        for folder in _above(key)
        for name in ("CMakeLists.txt", "meson.build", "__init__.py.in")
    ):
        return "may be a compiled extension"
    folder = key
    while folder:
        folder = posixpath.dirname(folder)
        for path in (f"{folder}/__init__.py", f"{folder}.py") if folder else ("__init__.py",):
            if index.tree.exists(path) and _EXTENDS.search(index.tree.read(path)):
                return f"{path} changes where its modules are found"
    if _ignored(index, key):
        return "git ignores a file of that name, so it may be generated"
    if _on_disk(index, key):
        return "it is there, but no file of the tree: a symbolic link, a submodule or an ignored file"
    return ""


def name_may_exist(index: Index, path: str, name: str) -> bool:
    """Whether a file may bind a name in a way that its top-level statements do not show."""
    try:
        source = index.tree.read(path)
    except OSError:
        return True
    word = re.escape(name.encode())
    if _FILLS.search(source):
        return True
    bound = rb"(?m)^(?![ \t]*#).*(?:\b%b\s*:=|\bas\s+%b\b|^\s*(?:type|case)\b.*\b%b\b|\bglobal\b.*\b%b\b)" % (
        word,
        word,
        word,
        word,
    )
    if re.search(bound, source):
        return True
    stem = path.rpartition("/")[2].removesuffix(".py").encode()
    package = f"{posixpath.dirname(path)}/__init__.py".lstrip("/")  # `base.dialect = …`, set from the package
    if not index.tree.exists(package):
        return False
    return re.search(rb"\b%b\.%b\s*=" % (re.escape(stem), word), index.tree.read(package)) is not None


def _folders(index: Index) -> frozenset[str]:
    found: set[str] = set()
    for path in index.tree.paths():
        folder = posixpath.dirname(path)
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return frozenset(found)


def _native(index: Index, leaf: str) -> bool:
    stems = index.derive("native sources", _native_stems)
    plain = leaf.strip("_").removesuffix("module").removesuffix("_ext").removesuffix("_impl")
    if leaf in stems or plain in stems or f"{leaf}module" in stems or f"{plain}module" in stems:
        return True
    if leaf.startswith("_") and stems:
        return True
    return is_built(index, leaf)


def is_built(index: Index, name: str) -> bool:
    """Whether a build file of the tree makes an extension module of a name."""
    build = index.derive("build files", _build_files)
    built = rb"(?:add_module|add_library|Extension|extension_module|module-name|pymodule|name)\W+[\w./\"' =]*?\b%b\b"
    return re.search(built % re.escape(name.encode()), build) is not None


def _build_files(index: Index) -> bytes:
    """What the files say that build extension modules."""
    names = ("CMakeLists.txt", "meson.build", "Cargo.toml", "BUILD", "BUILD.bazel")
    paths = [path for path in index.tree.paths() if path.rpartition("/")[2] in names]
    paths += [path for path in index.tree.paths() if path.rpartition("/")[2] == "setup.py"]
    return b"\n".join(index.tree.read(path)[:100_000] for path in paths[:500])


def _native_stems(index: Index) -> frozenset[str]:
    return frozenset(path.rpartition("/")[2].partition(".")[0] for path in index.tree.paths() if path.endswith(_NATIVE))


def _ignored(index: Index, key: str) -> bool:
    known: dict[str, Ignore | None] = index.derive("ignore files", lambda _: {})
    for folder in ("", *_above(key)):
        if folder not in known:
            path = f"{folder}/.gitignore" if folder else ".gitignore"
            lines = index.tree.read(path).decode("utf-8", "replace").splitlines() if index.tree.exists(path) else None
            known[folder] = Ignore(lines) if lines is not None else None
        rules = known[folder]
        if rules is None:
            continue
        inner = key[len(folder) + 1 :] if folder else key
        if rules.match(f"{inner}.py") or rules.match(f"{inner}/"):
            return True
    return False


def _above(key: str) -> list[str]:
    found = []
    while "/" in key:
        key = posixpath.dirname(key)
        found.append(key)
    return found


def _on_disk(index: Index, key: str) -> bool:
    tree = index.tree
    while isinstance(tree, OverlayTree):
        tree = tree.base
    if isinstance(tree, FolderTree):
        return any((tree.root / f"{key}{suffix}").exists() for suffix in (".py", ".pyi", "/__init__.py"))
    if isinstance(tree, GitTree):
        links = index.derive("links", lambda _: _links(tree))
        return any(part in links for part in (key, f"{key}.py", *_above(key)))
    return False


def _links(tree: GitTree) -> frozenset[str]:
    """Symbolic links and submodules of a commit, by path."""
    found = set()
    try:
        listing = git(tree.repo, "ls-tree", "-r", "-z", "--full-tree", tree.id)
    except (subprocess.CalledProcessError, OSError):
        return frozenset()
    for line in listing.split(b"\0"):
        if line.startswith((b"120000 ", b"160000 ")):
            found.add(line.partition(b"\t")[2].decode("utf-8", "surrogateescape"))
    return frozenset(found)
