from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.report import studies

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,1000",
)  # fmt: skip


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The report of a simulated study in which one class is called <script> and some runs are not finished."""
    from semiseg.report import html, plots, tables

    folder = tmp_path_factory.mktemp("browser")
    planned = studies.descriptions(seeds=2)
    at_12 = [row["run"] for row in planned if (row["method"], row["partition"]) == ("cutmix_seg", "12")]
    rows = studies.simulate(folder, planned, states={at_12[0]: "failed"}, images=20)
    tables.build("pocket", folder, rows)
    plots.build("pocket", folder, rows)
    html.build("pocket", folder, rows, dataset=studies.DATASET, read_image=studies.read_image)
    return folder / "report"


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Headless Chromium, or a skip that says what is missing."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, helper = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not binary or not helper:
        pytest.skip("Chromium or its driver is not installed (Debian: chromium, chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path_factory.mktemp("downloads"))})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = selenium.Chrome(options=options, service=selenium.ChromeService(helper))
    started.downloads = Path(options.experimental_options["prefs"]["download.default_directory"])
    yield started
    started.quit()


class Browser:
    """The driver with what the tests ask of it."""

    def __init__(self, driver, report: Path) -> None:
        self.driver, self.report = driver, report

    def open(self, page: str) -> None:
        """As a first visit: an address that differs from the last one in its hash alone would load nothing."""
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get((self.report / page).as_uri())

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def css(self, selector: str):
        return self.driver.find_elements("css selector", selector)

    def column(self, table: str, title: str) -> list[str]:
        """The text of a column as the reader sees it now, once the page has drawn the table."""
        return self.wait(lambda: self._column(table, title))

    def _column(self, table: str, title: str) -> list[str] | None:
        return self.run(
            """const table = document.getElementById(arguments[0]);
               const heads = [...table.querySelectorAll("thead th")];
               const index = heads.findIndex((head) => head.dataset.title === arguments[1]);
               const cells = [...table.tBodies[0].rows].map((row) => row.cells[index]);
               return cells.every((cell) => cell) ? cells.map((cell) => cell.textContent.trim()) : null;""",
            table, title,
        )  # fmt: skip

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requested(self) -> list[str]:
        """Every address that the page asked for since it was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]  # fmt: skip

    def wait(self, holds, seconds: float = 10.0):
        deadline = time.monotonic() + seconds
        while not (value := holds()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return value


@pytest.fixture
def browser(driver, report):
    driver.set_window_size(1280, 1000)
    return Browser(driver, report)
