"""The house of ``docs/architecture.md``: who may import whom, how large a thing may be, what an import may cost."""

import ast
import graphlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import featx
from conftest import Painter

SOURCE = Path(featx.__file__).parent

# Each row may import from the rows above that it names, and from nothing else of featx.
MAY_IMPORT = {
    "version": set(),
    "errors": set(),
    "words": set(),
    "files": set(),
    "ownership": set(),
    "notebook": set(),
    "spec": {"files", "notebook"},
    "machine": set(),
    "children": set(),
    "cache": {"files", "ownership"},
    "progress": {"notebook"},
    "manifest": {"words", "files"},
    "images": {"words", "spec"},
    "leakage": set(),
    "statistics": {"words", "notebook"},
    "weights": {"files", "ownership", "cache", "spec"},
    "classifiers": {"words", "machine"},
    "reports": {"words", "files", "notebook", "leakage", "statistics"},
    "batches": {"words", "machine", "children", "images", "manifest", "spec"},
    "store": {"words", "files", "machine", "notebook", "spec", "manifest", "batches"},
    "backbones": {"words", "machine", "files", "ownership", "spec", "cache", "children", "weights"},
    "training": {"words", "files", "spec", "weights", "backbones"},
    "selection": {"words", "machine", "progress", "classifiers"},
    "runtimes": {"spec", "machine", "backbones", "weights"},
    "model": {"words", "files", "progress", "notebook", "spec", "leakage", "classifiers", "selection"},
    "pipeline": {
        "words",
        "spec",
        "machine",
        "files",
        "ownership",
        "cache",
        "progress",
        "notebook",
        "manifest",
        "batches",
        "weights",
        "backbones",
        "training",
        "runtimes",
        "store",
        "classifiers",
        "selection",
        "model",
        "leakage",
        "statistics",
        "reports",
    },
    "gallery": {"words", "notebook", "manifest", "store", "pipeline"},
    "transformers": {"spec", "batches", "backbones", "pipeline"},
    "demo": {"progress", "spec", "cache", "batches", "pipeline", "backbones", "model", "reports"},
    "doctor": {
        "words",
        "ownership",
        "spec",
        "machine",
        "cache",
        "batches",
        "weights",
        "backbones",
        "runtimes",
        "pipeline",
    },
    "cli": {
        "words",
        "progress",
        "spec",
        "classifiers",
        "backbones",
        "selection",
        "leakage",
        "statistics",
        "reports",
        "pipeline",
        "transformers",
        "demo",
        "doctor",
        "model",
        "manifest",
        "store",
    },
}
"""In the order of ``docs/architecture.md``; everything may import ``version`` and ``errors``."""

HEAVY = (
    "tensorflow",
    "keras",
    "sklearn",
    "scipy",
    "h5py",
    "cv2",
    "openvino",
    "matplotlib",
    "pandas",
    "pyarrow",
    "skops",
    "plotly",
)

ONLY_HERE = {
    "keras": {"backbones"},
    "tensorflow": {"backbones", "training"},
    "h5py": {"store", "backbones"},  # weights are HDF5 files as well
    "plotly": {"reports"},
    "cv2": {"images"},
}


VERBS = {"extract", "fit", "tune", "score", "compare", "baseline", "curve", "predict", "verify", "export"}
VERBS |= {"extract_all", "fit_all", "score_all", "predict_batches"}
"""Functions of ``featx`` and commands of these names take flat keywords, as many as there are."""

MANY_PARAMETERS: set[str] = set()
"""Other functions of more than seven parameters. Don't add one: make a dataclass of what belongs together."""


def modules() -> list[tuple[str, Path]]:
    """(row of the table, file) of every file of the package but its own __init__."""
    files = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
    return [(path.relative_to(SOURCE).parts[0].removesuffix(".py"), path) for path in files]


def imports(path: Path) -> set[str]:
    """Full names of everything that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_a_module_imports_only_from_rows_above_its_own() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for row, path in modules()
        for name in imports(path)
        if name.startswith("featx.") and name.split(".")[1] not in MAY_IMPORT[row] | {row, "errors", "version"}
    ]
    assert wrong == []


def test_the_page_has_the_modules_in_the_order_of_the_table() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## The modules")[2]
    assert [row for row in re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE) if "/" not in row] == list(MAY_IMPORT)


def test_the_page_names_the_files_of_the_parts_of_the_pipeline() -> None:
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    for part, role in re.findall(r"^\| `(pipeline/\w+)` \| (.*) \|$", page, re.MULTILINE):
        files = {path.stem for path in (SOURCE / part).glob("*.py")} - {"__init__"}
        assert set(re.findall(r"`(\w+)`", role)) - {"score", "curve", "tune", "baseline"} == files


def test_the_table_has_every_module_in_an_order_without_cycles() -> None:
    rows = list(MAY_IMPORT)
    assert {row for row, _ in modules()} == set(rows)
    assert all(rows.index(other) < rows.index(row) for row, others in MAY_IMPORT.items() for other in others)


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Inside a package too, and counting imports in functions and under TYPE_CHECKING."""
    files = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for _, path in modules()}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}

    def file_of(name: str) -> str:
        return name if name in files or not name else file_of(name.rpartition(".")[0])

    graph = {name: {file_of(other) for other in imports(path)} - {name, ""} for name, path in files.items()}
    assert sum(map(len, graph.values())) > len(graph)
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize(("library", "homes"), ONLY_HERE.items())
def test_a_library_has_one_home(library: str, homes: set[str]) -> None:
    users = {row for row, path in modules() for name in imports(path) if name.split(".")[0] == library}
    assert users <= homes


def test_no_module_is_two() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for _, path in modules()
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of parameters but `self` and `cls`."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"])) + (given.vararg is not None) + (given.kwarg is not None)


def test_a_function_has_at_most_seven_parameters() -> None:
    many = {
        f"{path.relative_to(SOURCE)}: {node.name}"
        for row, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameters(node) > 7
        if not (row in {"pipeline", "cli"} and node.name in VERBS)
    }
    assert many == MANY_PARAMETERS


def test_the_pipeline_has_at_most_sixteen_rooms() -> None:
    rooms = {path.relative_to(SOURCE / "pipeline").parts[0] for row, path in modules() if row == "pipeline"}
    assert len(rooms - {"__init__.py"}) <= 16


@pytest.mark.parametrize(
    "code",
    [
        "import featx",
        "import featx.cli",
        "import sys; sys.argv = ['featx', '--help']; from featx.cli import main; main()",
        "import sys; sys.argv = ['featx', '--version']; from featx.cli import main; main()",
        "import sys; sys.argv = ['featx', 'extract', '--help']; from featx.cli import main; main()",
        "import sys; sys.argv = ['featx', 'fit', '--help']; from featx.cli import main; main()",
        "import sys; sys.argv = ['featx', 'backbones']; from featx.cli import main; main()",
    ],
)
def test_looking_costs_nothing(code: str) -> None:
    """In a fresh interpreter, importing featx and asking for help load nothing heavy."""
    loaded = f"sorted({set(HEAVY)} & set(sys.modules))"
    check = f"import atexit, sys; atexit.register(lambda: print({loaded}, file=sys.stderr)); "
    done = subprocess.run([sys.executable, "-c", check + code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


OVERVIEW = (
    "featx",
    "cli",
    "cli.commands",
    "cli.options",
    "cli.overview",
    "cli.stopping",
    "cli.streams",
    "errors",
    "version",
)
"""Modules of featx that `featx --help` may load: no command among them."""


def test_the_overview_loads_no_command_and_little_of_rich() -> None:
    code = """
import atexit, json, sys, typer
before = set(sys.modules)
atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr))
sys.argv = ["featx", "--help"]
from featx.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    loaded = set(json.loads(done.stderr))
    assert {name for name in loaded if name.split(".")[0] == "featx"} == {
        name if name == "featx" else f"featx.{name}" for name in OVERVIEW
    }
    assert {name.split(".")[0] for name in loaded} - sys.stdlib_module_names <= {"featx", "rich", "typer"}
    assert not loaded & {"rich.markdown", "rich.syntax", "rich.traceback", "rich.progress", "typer.rich_utils"}


@pytest.mark.parametrize(
    ("command", "strange"),
    [("extract", "selection"), ("extract", "reports"), ("fit", "reports"), ("predict", "selection")],
)
def test_the_help_of_a_command_loads_nothing_that_only_others_need(command: str, strange: str) -> None:
    code = f"import atexit, sys; atexit.register(lambda: print('featx.{strange}' in sys.modules, file=sys.stderr)); "
    code += f"sys.argv = ['featx', '{command}', '--help']; from featx.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "False")


IDLE = (
    "featx.backbones.exporting",
    "featx.backbones.origins.applications",
    "featx.backbones.scattering",
    "featx.backbones.tensors",
    "featx.cli.show.fitting",
    "featx.cli.show.scoring",
    "featx.progress.bars",
    "html",
    "numpy.ma",
    "rich.progress",
    "rich.table",
)
"""Modules that a run has no use for which reads an image with a formula, and draws nothing: 40 ms together."""


def test_extract_loads_nothing_that_only_other_runs_need(tmp_path: Path, paint: Painter) -> None:
    """Most of the time of a small run is the loading of modules."""
    paint(tmp_path / "images")
    # No other program is run, not even by a library.
    code = "import sys; sys.addaudithook(lambda name, told: name == 'subprocess.Popen' and print(told[1][0])); "
    code += f"import atexit; atexit.register(lambda: print(sorted(set({IDLE}) & set(sys.modules)))); "
    code += "sys.argv = ['featx', 'extract', 'images', '--backbone', 'mean-colour']; from featx.cli import main; main()"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    *programs, loaded = done.stdout.split()
    assert (done.returncode, set(programs), loaded) == (0, {sys.executable}, "[]"), done.stderr


@pytest.mark.keras
def test_cached_work_loads_neither_keras_nor_more_than_it_needs(tmp_path: Path) -> None:
    """On a warm cache `extract` loads no Keras and no scikit-learn, and `fit` no Keras."""
    code = f"""
import json, sys
from PIL import Image
from pathlib import Path
import featx
for name, colour in (("a", "red"), ("b", "blue")):
    for index in range(4):
        path = Path("images", name, f"{{index}}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), colour).save(path)
heavy = {HEAVY} + ("matplotlib",)
loaded = lambda: sorted(set(heavy) & set(sys.modules))
featx.extract("images", backbone="mobilenet-0.25", weights="none", image_size=32, overwrite=True)
first = loaded()
featx.fit("artifacts/features/images-mobilenet-0.25.h5")
print(json.dumps([first, loaded()]))
"""
    for warm in (False, True):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        extracting, fitting = json.loads(done.stdout)
        if warm:
            assert not set(extracting) & {"keras", "tensorflow", "sklearn", "pandas", "matplotlib", "scipy"}
            assert not set(fitting) & {"keras", "tensorflow"}


def test_the_public_names_are_those_there_are() -> None:
    assert sorted(featx.__all__) == featx.__all__
    assert set(featx.__all__) == set(featx._PUBLIC) | {"__version__"}
    assert all(getattr(featx, name).__doc__ for name in featx._PUBLIC)
    assert dir(featx) == sorted(featx.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        featx.nonsense  # noqa: B018


def test_the_error_tree_in_the_docstring_is_the_one_there_is() -> None:
    from featx import errors

    drawn = {word for line in (errors.__doc__ or "").splitlines() for word in line.split() if word.isidentifier()}
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes <= drawn


RIDDLES = ("What", "Whether", "How", "Where", "Those", "Of", "Who", "That")
"""A text that begins so is understood only after the code was read."""


def test_a_docstring_begins_with_a_noun_or_a_verb() -> None:
    texts = [
        (path, node.lineno, node.value.value.strip())
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert len(texts) > 1000
    riddles = [
        f"{path.relative_to(SOURCE)}:{line}: {text[:80]}" for path, line, text in texts if text.split()[0] in RIDDLES
    ]
    assert riddles == []
