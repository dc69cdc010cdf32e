// What holds for every page of the route table: accessible, as wide as the screen, light, and without complaints.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { admin, launch, pages, prepare, visitor } from "./browser.mjs";
import { open } from "./house.mjs";

/** The largest page with its style and script, without data, in bytes. */
const PAGE_BYTES_MAX = 200_000;

const WIDTHS = [380, 768, 1280, 1920];

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let house, browser, paths, unknown;

before(async () => {
  house = await open();
  browser = await launch();
  const page = await admin(browser, house);
  const prepared = await prepare(page, house);
  ({ known: paths, unknown } = pages(prepared));
  // What forms answer: a change that waits for its confirmation, and pages that refuse.
  paths.push(`/jdwa/tables/aliases.tab/row?line=${house.lineOf("aliases.tab", "boss")}`, "/jdwa/raw/server.tab", "/jdwa/queue?part=frozen", "/jdwa/tables/nothing.tab", "/jdwa/nothing");
  paths.push("/jdwa/explain?recipient=anna%40home.test", "/jdwa/settings?topic=tls");
  await page.context().close();
});

after(async () => {
  await browser?.close();
  await house?.stop();
});

async function faultsOf(page) {
  // As a script of the tests, not of the page: its policy stays as it is.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.any?.[0]?.message ?? ""}`).join(" | ")}`);
}

/** Looks at all pages and tells all that is wrong at once. */
async function look(page, judge, extra = []) {
  const wrong = [];
  for (const path of [...paths, ...extra]) {
    const answer = await page.goto(path);
    for (const fault of await judge(path, answer)) wrong.push(`${path}: ${fault}`);
  }
  assert.deepEqual(wrong, []);
}

test("the tests' own eyes are open", async () => {
  const page = await visitor(browser, house);
  await page.setContent('<html lang="en"><title>x</title><main><h1>x</h1><img src="data:,"><p style="color:#ccc;background:#fff">pale</p><input></main>');
  assert.deepEqual((await faultsOf(page)).map((fault) => fault.split(":")[0]).sort(), ["color-contrast", "image-alt", "label"]);
  await page.context().close();
});

test("tests/browser/browser.mjs has samples for every route", () => assert.deepEqual(unknown, []));

test("every page answers", async () => {
  const page = await admin(browser, house);
  await look(page, async (path, answer) => {
    const status = /nothing/.test(path) ? 404 : 200;
    return answer.status() === status ? [] : [`answers ${answer.status()}`];
  });
  await page.context().close();
});

for (const [language, theme, width] of [["en", "light", 1280], ["zh-CN", "dark", 1280], ["zh-CN", "light", 380], ["en", "dark", 380]]) {
  test(`axe finds no serious fault: ${language}, ${theme}, ${width} px`, async () => {
    const page = await admin(browser, house, { language, theme, width });
    await look(page, () => faultsOf(page));
    assert.deepEqual(page.faults, []);
    await page.context().close();
    const guest = await visitor(browser, house, { language, theme, width });
    await guest.goto("/jdwa/login");
    assert.deepEqual(await faultsOf(guest), []);
    await guest.context().close();
  });
}

test("pages are as wide as the screen, with a title, one heading, and names for all fields", async () => {
  const page = await admin(browser, house);
  const told = (wide) => page.evaluate((wide) => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) {
      const out = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, .diff, .text, textarea, .skip, [popover]:not(:popover-open)"));
      found.push(`${root.scrollWidth} px wide at ${innerWidth} px: ${out[0]?.outerHTML.slice(0, 120)}`);
    }
    if (!wide) return found;
    if (document.querySelectorAll("h1").length !== 1) found.push("has not one h1");
    if (!/\S/.test(document.title) || document.title === "Tabmail") found.push(`is called ${document.title}`);
    for (const field of document.querySelectorAll("main :is(input:not([type=hidden]), select, textarea)")) {
      if (!field.labels?.length && !field.getAttribute("aria-label")) found.push(`has a field without a name: ${field.outerHTML}`);
    }
    if (/\b[a-z]+\.[a-z]+_[a-z_]+\b/.test(document.body.innerText)) found.push("shows a key instead of a text");
    const twice = [...document.querySelectorAll("[id]")].map((one) => one.id).filter((id, at, all) => all.indexOf(id) !== at);
    if (twice.length) found.push(`has ids twice: ${twice}`);
    return found;
  }, wide);
  await look(page, async () => {
    const found = [];
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      found.push(...(await told(width === 1280)));
    }
    return found;
  });
  await page.context().close();
});

test("where the keyboard stands is seen on every page", async () => {
  const page = await admin(browser, house);
  await look(page, async () => {
    const found = [];
    await page.evaluate(() => document.activeElement?.blur());
    for (let stop = 0; stop < 12; stop++) {
      await page.keyboard.press("Tab");
      const unseen = await page.evaluate(() => {
        const here = document.activeElement, style = getComputedStyle(here.closest(".editor") ?? here);
        return here !== document.body && parseFloat(style.outlineWidth) < 1.5 ? here.outerHTML.slice(0, 120) : null;
      });
      if (unseen) found.push(`no outline: ${unseen}`);
    }
    return found;
  });
  await page.context().close();
});

test("no page with its style and script is over 200 KB", async () => {
  const page = await admin(browser, house);
  await look(page, async (path) => {
    let bytes = 0;
    const count = async (answer) => { bytes += (await answer.body().catch(() => "")).length; };
    const loading = [];
    const listen = (answer) => loading.push(count(answer));
    page.on("response", listen);
    await page.goto(path, { waitUntil: "load" });
    await Promise.all(loading);
    page.off("response", listen);
    return bytes > PAGE_BYTES_MAX ? [`${bytes} bytes`] : [];
  });
  await page.context().close();
});
