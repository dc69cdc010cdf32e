// Pictures of every page, in both languages and themes, on a narrow and a wide screen: node screenshots.mjs DIRECTORY

import fs from "node:fs";
import path from "node:path";

import { admin, launch, pages, prepare, visitor } from "./browser.mjs";
import { open } from "./house.mjs";

const [directory, only = ""] = process.argv.slice(2);
if (!directory) throw new Error("usage: web-screenshots DIRECTORY [WORD IN PATHS]");
fs.mkdirSync(directory, { recursive: true });

const house = await open();
const browser = await launch();
try {
  const prepared = await prepare(await admin(browser, house), house);
  const paths = pages(prepared).known;
  paths.push("/jdwa/queue?part=frozen", "/jdwa/nothing", "/jdwa/explain?recipient=anna%40home.test");
  paths.push(`/jdwa/tables/aliases.tab/row?line=${house.lineOf("aliases.tab", "boss")}`);
  for (const language of ["en", "zh-CN"]) {
    for (const theme of ["light", "dark"]) {
      for (const width of [380, 1280]) {
        const options = { language, theme, width, height: width === 380 ? 800 : 900 };
        const [guest, page] = [await visitor(browser, house, options), await admin(browser, house, options)];
        const take = async (who, name) => {
          const file = `${name.replace(/^\/jdwa\/?/, "").replace(/[^\w.-]+/g, "_") || "home"}.${language}.${theme}.${width}.png`;
          await who.screenshot({ path: path.join(directory, file), fullPage: true });
        };
        for (const where of paths.filter((where) => where.includes(only))) {
          const who = where === "/jdwa/login" ? guest : page;
          await who.goto(where);
          await take(who, where);
        }
        if (!only) await others(page, take);
        await guest.context().close();
        await page.context().close();
      }
    }
  }
} finally {
  await browser.close();
  await house.stop();
}

/** What only comes after a form: a change before its confirmation, a conflict, a menu. */
async function others(page, take) {
  await page.goto(`/jdwa/tables/aliases.tab/row?line=${house.lineOf("aliases.tab", "boss")}`);
  await page.fill('[name="c2"]', "bert");
  await page.click("main form button.main");
  await page.waitForSelector(".diff");
  await take(page, "confirm");
  const good = house.read("aliases.tab");
  house.write("aliases.tab", good.replace(/"boss"\t"anna"/, '"boss"\t"zhang.wei"'));
  await page.click('form[action$="/confirm"] button');
  await page.waitForSelector(".versions");
  await take(page, "conflict");
  house.write("aliases.tab", good);
  await page.goto("/jdwa/raw/aliases.tab");
  await page.fill("#text", good + '"home.test"\t"two"\n');
  await page.waitForSelector(".problems .error");
  await take(page, "raw-faults");
  if (await page.isVisible(".menu")) {
    await page.click(".menu");
    await page.screenshot({ path: path.join(directory, `menu.${await page.getAttribute("html", "lang")}.png`) });
  }
}
