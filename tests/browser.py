"""Chromium, and what it requests."""

import json
import os
import shutil

import pytest
from selenium import webdriver

from tests.project import ROOT

AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"


def start(profile):
    """Start Chromium without a window, with its logs on."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium with its driver is missing: Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    quiet = (
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-quic",
    )
    for flag in ("headless", "disable-gpu", *quiet, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(driver))


def requested(browser):
    """Return the addresses requested since the logs were last read; fail if the browser logged an error."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith("data:")}


def violations(browser):
    """Return the rules of accessibility that the page breaks, with the elements that do, by axe-core."""
    if not AXE.is_file():
        pytest.skip("axe-core is missing: make tests/js/node_modules")
    browser.execute_script(AXE.read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def faint_texts(browser):
    """Return the texts of charts that have a contrast below 4.5 to the page, which axe-core does not check."""
    return browser.execute_script("""
        const canvas = new OffscreenCanvas(1, 1).getContext("2d");
        const luminance = (colour) => {
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 1, 1);
          const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((byte) => byte / 255)
            .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = luminance(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll("svg text")].filter((text) => {
          const { fill, opacity } = getComputedStyle(text), [low, high] = [luminance(fill), paper].sort((a, b) => a - b);
          return (high + 0.05) / (low + 0.05) < 4.5 || opacity < 1;
        }).map((text) => text.textContent);
    """)


def emulate(browser, width, scheme="light"):
    """Give the browser a screen of this width, a phone's if it is narrow, and a colour scheme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
