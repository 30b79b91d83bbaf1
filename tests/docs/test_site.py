#!/usr/bin/env python3
"""Opens every page of the documentation site in headless Chromium, as wide as a phone, in light and in dark.

usage: test_site.py [--site FOLDER]

scripts/docs.sh builds the site and checks its links. Served from this process, each page has to load without a fault in the browser's
log, ask no other host for anything, fit the width of a phone, and show all its pictures; the search has to find a key of the config.
"""
import argparse
import contextlib
import functools
import http.server
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHONE = 390
LIMIT_S = 120
QUERY, FOUND = "shortlist_windows", "docs/configuration.html"
BACKGROUNDS = {"light": "default", "dark": "slate"}  # the reader's setting -> Material's name of the palette

# Loads the pages one after the other in a frame as wide as a phone, because a browser's own window is wider, and posts what it measured.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><title>harness</title><body>
<iframe width="%(width)d" height="844" style="border:0"></iframe>
<script>
const pages = %(pages)s, frame = document.querySelector('iframe'), answers = {};
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(what) {
  for (let tries = 0; tries < 100 && !what(); ++tries) await pause(50);
}
async function visit(page) {
  const loaded = new Promise((done) => { frame.onload = done; });
  frame.src = '/' + page;
  await loaded;
  const inner = frame.contentWindow, root = inner.document;
  const pictures = Array.from(root.querySelectorAll('article img'));
  pictures.forEach((picture) => { picture.loading = 'eager'; });
  await until(() => pictures.every((picture) => picture.complete));
  answers[page] = {
    title: root.title,
    heading: root.querySelector('article h1') ? root.querySelector('article h1').textContent : '',
    palette: root.body.getAttribute('data-md-color-scheme'),
    width: root.documentElement.scrollWidth,
    blank: pictures.filter((picture) => picture.naturalWidth === 0).length,
    pictures: pictures.length,
    foreign: inner.performance.getEntriesByType('resource').map((entry) => entry.name)
      .filter((name) => !name.startsWith(location.origin + '/')),
  };
}
async function search() {
  const root = frame.contentWindow.document, field = root.querySelector('.md-search__input');
  root.querySelector('#__search').checked = true;
  field.focus();
  field.value = %(query)s;
  const results = () => Array.from(root.querySelectorAll('.md-search-result__link')).map((link) => link.href);
  for (let tries = 0; tries < 100 && results().length === 0; ++tries) {
    field.dispatchEvent(new frame.contentWindow.Event('keyup', {bubbles: true}));
    field.dispatchEvent(new frame.contentWindow.Event('input', {bubbles: true}));
    await pause(100);
  }
  return results();
}
(async function () {
  for (const page of pages) await visit(page);
  const results = await search();
  await fetch('/answers', {method: 'POST', body: JSON.stringify({pages: answers, results: results})});
})();
</script></body>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site and the harness, and takes the harness's answers."""

    def __init__(self, *arguments, harness, answers, **options):
        self.harness, self.answers = harness, answers
        super().__init__(*arguments, **options)

    def do_GET(self):
        if self.path != "/harness.html":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.harness.encode())

    def do_POST(self):
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def visit(address, setting, answers):
    """What the harness found, and the browser's log, under the reader's setting: light or dark."""
    # Processes of the browser may outlive it for a moment and still write into the profile.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, tempfile.TemporaryFile("w+") as log:
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
             "--enable-logging=stderr", f"--user-data-dir={profile}", "--remote-debugging-port=0",  # which keeps it open
             f"--blink-settings=preferredColorScheme={int(setting == 'light')}", address],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
        try:
            found = answers.get(timeout=LIMIT_S)
        except queue.Empty:
            found = None
        finally:
            browser.terminate()
            browser.wait(timeout=LIMIT_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
        log.seek(0)
        text = log.read()
    if found is None:
        sys.exit(f"chromium gave no answers in {LIMIT_S} s; its log ends with: {text[-2000:]}")
    return found, text


def faults(setting, pages, results, log):
    """What is wrong, one text each."""
    for page, answer in pages.items():
        if not answer["heading"] or "Foresight" not in answer["title"]:
            yield f"{page}: no heading or title"
        if answer["palette"] != BACKGROUNDS[setting]:
            yield f"{page}: the palette is {answer['palette']} for a reader who prefers {setting}"
        if answer["width"] > PHONE:
            yield f"{page}: {answer['width']} pixels wide on a phone of {PHONE}"
        if answer["blank"]:
            yield f"{page}: {answer['blank']} of {answer['pictures']} pictures do not show"
        if answer["foreign"]:
            yield f"{page}: asks another host for {answer['foreign']}"
    if not any(urllib.parse.urlparse(result).path == "/" + FOUND for result in results):
        yield f"the search for {QUERY} does not find {FOUND}, but {results}"
    for line in log.splitlines():
        if "CONSOLE" in line and re.search(r"error|refused|failed|uncaught", line, re.IGNORECASE):
            yield f"the browser's log: {line}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--site", type=pathlib.Path, default=ROOT / "build-docs/site")
    site = parser.parse_args().site
    if not shutil.which("chromium"):
        print("NOT RUN: no chromium (apt-get install --no-install-recommends chromium)")
        return
    pages = sorted(str(file.relative_to(site)) for file in site.rglob("*.html") if file.name != "404.html")
    if "index.html" not in pages or FOUND not in pages:
        sys.exit(f"{site}: no site; run scripts/docs.sh first")
    harness = HARNESS % {"width": PHONE, "pages": json.dumps(pages), "query": json.dumps(QUERY)}
    posted = queue.Queue()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, harness=harness, answers=posted, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = []
    for setting in BACKGROUNDS:
        answers, log = visit(f"http://127.0.0.1:{server.server_port}/harness.html", setting, posted)
        missing = set(pages) - set(answers["pages"])
        found += [f"{setting}: {page} was not visited" for page in missing]
        found += [f"{setting}: {fault}" for fault in faults(setting, answers["pages"], answers["results"], log)]
    server.shutdown()
    if found:
        sys.exit("\n".join(found))
    print(f"{len(pages)} pages in light and dark: no fault")


if __name__ == "__main__":
    main()
