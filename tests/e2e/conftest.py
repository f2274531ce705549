"""Look at a notebook the way a learner does: JupyterLab in a real browser.

Skipped where playwright or a Chromium is missing; AIGC_E2E=require turns the skip into a failure.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, also off the screen
    "docmanager-extension/plugin": {"autosave": False},
}


def absent(why):
    if os.environ.get("AIGC_E2E") == "require":
        pytest.fail(f"AIGC_E2E=require, but {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed (pip install playwright)")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        absent(f"there is no Chromium on the PATH (looked for {', '.join(CHROMIUM)})")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """(address, folder) of a JupyterLab of its own, run by this Python; whatever it keeps is in a temporary folder."""
    home, folder = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("work")
    for name, content in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "run",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    environment = dict(
        os.environ,
        AIGC_PROFILE="smoke",
        JUPYTER_PREFER_ENV_PATH="1",
        **{variable: str(home / name) for variable, name in own.items()},
    )
    (home / "run").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ip=127.0.0.1",
                f"--port={port}",
                "--ServerApp.port_retries=0",
                f"--ServerApp.root_dir={folder}",
                "--IdentityProvider.token=t",
                "--LabApp.expose_app_in_browser=True",
            ],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status?token=t", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("JupyterLab did not start:\n" + (home / "server.log").read_text()[-3000:])
                time.sleep(0.1)
        yield address, folder
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


# before the kernel is ready, "Run All Cells" can be lost
READY = """async () => {
    const app = window.jupyterapp; await app.restored;
    const panel = app.shell.currentWidget;
    await panel.context.ready; await panel.revealed; await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info; }"""
# asked of the notebook's model: on the page an error looks like any text on stderr
ERRORS = """() => window.jupyterapp.shell.currentWidget.model.toJSON().cells.flatMap(cell => cell.outputs ?? [])
    .filter(output => output.output_type === 'error').map(output => output.ename + ': ' + output.evalue)"""
# an error, or no prompt that is queued [*] or unrun [ ]; a folded cell's placeholder has an empty one
FINISHED = (
    r"""() => {
    if (("""
    + ERRORS
    + r""")().length) return true;
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(e => e.innerText);
    return prompts.length > 0 && prompts.every(text => /\[\d+\]/.test(text)); }"""
)


@pytest.fixture
def run_notebook(browser, lab, tmp_path, request):
    """run_notebook("notebooks/NAME.ipynb") -> its code cells, as a locator: copied, opened, run to the end, no errors.

    With run=False it is opened and not run. run_notebook.folder is where JupyterLab looks.
    """
    address, folder = lab
    page = browser.new_page(viewport={"width": 1200, "height": 1400})

    def go(notebook, run=True):
        (folder / notebook).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / notebook, folder / notebook)  # what is saved must not touch the checkout
        page.goto(f"{address}/doc/tree/{notebook}?token=t&reset")
        page.locator(".jp-NotebookPanel").wait_for(timeout=60_000)
        page.evaluate(READY)
        if not run:
            return page.locator(".jp-CodeCell")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(FINISHED, timeout=180_000)
        assert page.evaluate(ERRORS) == []
        return page.locator(".jp-CodeCell")

    go.folder = folder
    yield go
    if request.node.stash.get(FAILED, False):
        page.screenshot(path=tmp_path / "page.png")
        print("what the page looked like:", tmp_path / "page.png")
    page.close()


FAILED = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
