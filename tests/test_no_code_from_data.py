"""No data ever becomes code: what the source must not say, wherever it stands in the tree.

Laws of the text, which hold for code that no test runs. `SAYS` gives each rule a line that breaks it, so that a rule
that finds nothing any more is noticed.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("data", "stages", "pipeline", "benchmarks")
FILES = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
FILES.append(Path("run_chain.py"))

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "commands.getoutput", "subprocess.getoutput", "subprocess.getstatusoutput",
          "asyncio.create_subprocess_shell", "pty.spawn"}  # fmt: skip
STARTS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}
YAML = {f"yaml.{name}" for name in ("load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all")}
LOADS = {"torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "pandas.read_pickle", "pd.read_pickle",
         "numpy.lib.format.read_array", "np.lib.format.read_array"}  # fmt: skip
UNPACKS = {"extractall", "extract", "unpack_archive"}


def faults(text: str, path: Path = Path("x.py")) -> Iterator[str]:
    """Every place that breaks a rule, in words."""
    for node in ast.walk(ast.parse(text)):
        said = _imports(node, path) if isinstance(node, ast.Import | ast.ImportFrom) else _calls(node)
        yield from (f"{path}:{getattr(node, 'lineno', 0)}: {words}" for words in said)


def _imports(node: ast.Import | ast.ImportFrom, path: Path) -> Iterator[str]:
    own = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
    for module in own:
        if module.partition(".")[0] in PICKLES:
            yield f"{module} turns files into code"
        # HDF5 reads its environment once: nothing may bring it up before data.files.hdf5 has switched plugins off
        ours = path.parts[0] in ("data", "stages", "pipeline") and path != Path("data/files/hdf5.py")
        if ours and module.partition(".")[0] == "h5py" and not _for_types_alone(node):
            yield "h5py comes from data.files.hdf5"
    if isinstance(node, ast.ImportFrom):
        for name in node.names:
            whole = f"{node.module}.{name.name}"
            if whole in SHELLS | YAML | LOADS or whole in ("torch.load", "numpy.load", "os.system"):
                yield f"{whole} is called by its whole name, so that its arguments can be checked"


def _for_types_alone(node: ast.AST) -> bool:
    return bool(getattr(node, "for_types", False))


def _calls(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for inner in ast.walk(node):
            inner.for_types = True  # type: ignore[attr-defined]
    if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and not _is(node.value, False):
        yield "trust_remote_code runs what a stranger uploaded"
    if isinstance(node, ast.keyword) and node.arg == "shell" and not _is(node.value, False):
        yield "a shell reads names as commands"
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is(node.value, False):
        yield "allow_pickle"
    if isinstance(node, ast.keyword) and node.arg == "weights_only" and not _is(node.value, True):
        yield "weights_only is said, and is True"
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    said = {keyword.arg: keyword.value for keyword in node.keywords}
    if called in BUILTINS:
        yield f"{called}() makes code of text"
    if called in SHELLS:
        yield f"{called} starts a shell"
    if called in YAML:
        yield f"{called} may build any object"
    if called in LOADS or called.endswith(".read_pickle"):
        yield f"{called} unpickles"
    if called == "torch.load" and not _is(said.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if called.endswith("load_from_checkpoint"):
        yield "Lightning's load_from_checkpoint unpickles"
    if isinstance(node.func, ast.Attribute) and node.func.attr in UNPACKS:
        yield f"{called} writes where an archive says"
    if called == "tempfile.mktemp":
        yield "tempfile.mktemp gives a name and no file"
    if called in STARTS and node.args and _is_text(node.args[0]):
        yield "a process is started by a list of words"


def _is_text(node: ast.AST) -> bool:
    while isinstance(node, ast.BinOp):
        node = node.left
    return isinstance(node, ast.Constant | ast.JoinedStr)


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


SAYS = [
    "import pickle", "from joblib import load", "import dill as d", "from torch import load",
    "eval(text)", "exec(text)", "__import__(name)",
    "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=flag)",
    "fit(ckpt_path=p, weights_only=None)", "Module.load_from_checkpoint(p)", "torch.jit.load(p)",
    "np.load(path, allow_pickle=True)", "np.savez(f, allow_pickle=True)", "pd.read_pickle(p)",
    "yaml.load(text, Loader=yaml.SafeLoader)", "yaml.unsafe_load(text)",
    "subprocess.run(words, shell=True)", "subprocess.Popen(f'rm {x}')", "os.system('ls')", "os.popen('ls')",
    "subprocess.check_output('ls ' + x)",
    "AutoModel.from_pretrained(x, trust_remote_code=True)", "archive.extractall(where)", "tempfile.mktemp()",
]  # fmt: skip
MAY_SAY = [
    "torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)", "subprocess.run([a] + [b, c])",
    "yaml.safe_load(text)", "re.compile(text)", "network.eval()", "from pickle_free import x",
]  # fmt: skip


@pytest.mark.parametrize("text", SAYS)
def test_every_rule_finds_what_breaks_it(text: str) -> None:
    assert list(faults(text))


@pytest.mark.parametrize("text", MAY_SAY)
def test_no_rule_finds_what_is_right(text: str) -> None:
    assert not list(faults(text))


def test_h5py_comes_from_one_place() -> None:
    assert list(faults("import h5py", Path("stages/x.py")))
    assert list(faults("def f():\n    import h5py", Path("data/x.py")))
    assert not list(faults("if TYPE_CHECKING:\n    import h5py", Path("data/x.py")))


def test_nothing_in_the_tree_makes_code_of_data() -> None:
    assert len(FILES) > 250
    found = [fault for path in FILES for fault in faults((ROOT / path).read_text(encoding="utf-8"), path)]
    assert not found, "\n".join(found)


def test_what_bandit_would_say_of_processes_and_loading() -> None:
    """Bandit's rules as Ruff has them: B102, B30x (pickle, marshal, eval, YAML), B202, B602, B604 to B606, B609, B614.

    B603 and B607 call every list of words suspicious; what they are about, a shell, is what the others find.
    """
    rules = "S102,S202,S301,S302,S307,S506,S602,S604,S605,S606,S609,S612,S614,S615"
    ruff = Path(sys.executable).with_name("ruff")
    words = [ruff, "check", "--isolated", "--ignore-noqa", "--no-cache", "--preview", "--select", rules]
    done = subprocess.run([*words, *FOLDERS, "run_chain.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
