// Debian's Chromium, and what people do in it.

import fs from "node:fs";
import path from "node:path";

import { chromium } from "playwright-core";

import { eventually, farServer, PATIENCE_MS, send, top } from "./house.mjs";

/** The password that the administrator gets at the first log-in. */
export const PASSWORD = "a password of my own";

const program = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => fs.existsSync(file));

/** A browser; in containers root has no sandbox, and only our own pages are opened. */
export async function launch() {
  if (!program) throw new Error("no Chromium: install Debian's package chromium, or set CHROMIUM to the program");
  return chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"] });
}

/** A person with cookies of his own. Everything the browser complains about is in `page.faults`. */
export async function visitor(browser, house, { width = 1280, height = 800, language = "en", theme = "light", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: language, colorScheme: theme, baseURL: house.url, ...more });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.faults = [];
  // Answers like 404 are told on the console as well; those tests look at the status.
  page.on("console", (said) => {
    if (said.type() === "error" && !/Failed to load resource/.test(said.text())) page.faults.push(said.text());
  });
  page.on("pageerror", (error) => page.faults.push(String(error)));
  return page;
}

export async function logIn(page, name, password) {
  await page.goto("/jdwa/login");
  await page.fill("#name", name);
  await page.fill("#password", password);
  await page.click("main button");
}

/** Where a demanded change of the password is asked for. */
export async function choosePassword(page, old, fresh) {
  await page.fill("#old", old);
  await page.fill("#new", fresh);
  await page.fill("#again", fresh);
  await page.click("main form:has(#old) button");
}

/** The administrator `admin`, with the first log-in behind him. */
export async function admin(browser, house, options) {
  const page = await visitor(browser, house, options);
  if (house.password === PASSWORD) {
    await logIn(page, "admin", PASSWORD);
  } else {
    await logIn(page, "admin", house.password);
    await choosePassword(page, house.password, PASSWORD);
    house.password = PASSWORD;
  }
  await page.waitForURL("**/jdwa/");
  return page;
}

/** Fills a form's fields by name and sends it; the form is the one that goes to `action`. */
export async function submit(page, action, fields) {
  const form = page.locator(`main form[action$="${action}"]`).first();
  for (const [name, value] of Object.entries(fields)) {
    const field = form.locator(`[name="${name}"]`);
    if ((await field.evaluate((one) => one.tagName)) === "SELECT") await field.selectOption(value);
    else await field.fill(value);
  }
  await form.locator("button.main, button:not(.plain, .danger)").first().click();
}

/** Confirms what is shown. */
export async function confirm(page) {
  await page.click('main form[action$="/confirm"] button');
}

/** The pages of the route table that are opened with GET, with samples for what stands in braces. */
export function routes() {
  const code = fs.readFileSync(path.join(top, "src/web/routes.rs"), "utf8");
  const found = [...code.matchAll(/\bget\(\s*"(\/jdwa\/[^"]*)",\s*(\w+),/g)].map(([, route, access]) => ({ route, access }));
  if (found.length < 10) throw new Error("src/web/routes.rs has another shape: no routes found");
  return found;
}

/** What stands in braces, by the path around it; the last one that fits. */
const SAMPLES = [
  [/./, { domain: "home.test", name: "bert", list: "team", table: "aliases.tab", state: "1", group: "staff" }],
  [/\/commands\//, { file: "help.tab" }],
  [/\/files\//, { directory: "custdomains", file: "tocustom.test.tab" }],
  [/\/lists\//, { name: "team" }],
  [/\{name\}\/rows\//, { table: "mailproc.tab" }],
  [/\{domain\}\/rows\//, { table: "mailproc.tab" }],
];

/** What is fetched and not opened as a page, and the text of what a page of the same session has shown: effects.test.mjs. */
const NO_PAGES = /\/static\/|\/logs\/tail$|\/download$|\/text\/\{base\}$/;

/**
 * The pages of the route table, with samples for what stands in braces; `message` and `backup` are what `prepare` made.
 * Routes that need what has no sample are in `unknown`.
 */
export function pages({ message, backup }) {
  const [known, unknown] = [[], []];
  for (const { route } of routes().filter(({ route }) => !NO_PAGES.test(route))) {
    const around = [...SAMPLES, [/\/queue\//, message], [/\/backup\//, backup]].filter(([path]) => path.test(route)).map(([, values]) => values);
    const all = Object.assign({}, ...around);
    const path = route.replace(/\{(\w+)\}/g, (hole, name) => all[name] ?? hole);
    // A table of commands asks which one; its first row is one.
    const isRow = /(commands|files|rows)\/.*\/row$/.test(path);
    (path.includes("{") ? unknown : known).push(isRow ? `${path}?line=1` : path);
  }
  return { known, unknown };
}

/** What pages are about that no file of a fresh MailRoot has: a frozen message and a backup. */
export async function prepare(page, house) {
  return { message: await frozenMessage(page, house), backup: await makeBackup(page) };
}

async function makeBackup(page) {
  await page.goto("/jdwa/backup");
  await page.click('main button[value="make"]');
  const link = page.locator('main tbody a[href^="/jdwa/backup/"]').first();
  await eventually("there is a backup", async () => {
    await page.goto("/jdwa/backup");
    return (await link.count()) > 0 && !(await page.$("main progress"));
  });
  return { name: decodeURIComponent((await link.getAttribute("href")).split("/")[3]) };
}

async function frozenMessage(page, house) {
  const far = await farServer(house.far);
  const password = "berts-word-7c";
  await page.goto("/jdwa/domains/home.test/users/bert");
  await page.fill('form[action$="/password"] [name="password"]', password);
  await page.click('form[action$="/password"] button');
  await page.click('form[action$="/confirm"] button');
  await page.waitForSelector(".flash.good");
  await send(house, { user: "bert@home.test", password, to: "nobody@far.test", subject: "冻结的邮件" });
  const link = page.locator('main tbody a[href*="/jdwa/queue/"]').first();
  await eventually("the message is frozen", async () => {
    await page.goto("/jdwa/queue?part=frozen");
    return (await link.count()) > 0;
  });
  const [, , , level1, level2, name] = (await link.getAttribute("href")).split("/");
  await far.close();
  return { level1, level2, name };
}
