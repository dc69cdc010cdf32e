// What administrators do, in a browser, on the real server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { admin, choosePassword, confirm, launch, logIn, PASSWORD, submit, visitor } from "./browser.mjs";
import { eventually, farServer, fetchAll, line, open, send } from "./house.mjs";

let house, browser, page;

before(async () => {
  house = await open();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await house?.stop();
});

const path = () => new URL(page.url()).pathname;

test("the first log-in demands a password of one's own", async () => {
  page = await visitor(browser, house);
  await page.goto("/jdwa/");
  assert.equal(path(), "/jdwa/login");
  await logIn(page, "admin", "not the password");
  await page.waitForSelector("[role=alert]");
  await logIn(page, "admin", house.password);
  await page.waitForURL("**/jdwa/password");
  await page.goto("/jdwa/domains");
  assert.equal(path(), "/jdwa/password", "no other page until then");
  await choosePassword(page, house.password, PASSWORD);
  await page.waitForURL("**/jdwa/");
  house.password = PASSWORD;
  assert.doesNotMatch(house.read("webadmin.tab"), /must-change/);
});

test("a domain and a user are made, who sends and receives mail", async () => {
  await page.goto("/jdwa/domains");
  await submit(page, "/jdwa/domains", { domain: "new.test" });
  await page.waitForSelector(".diff .added");
  assert.match(await page.textContent(".diff .added"), /"new.test"/);
  assert.doesNotMatch(house.read("domains.tab"), /new\.test/, "nothing is written before it is confirmed");
  await confirm(page);
  await page.waitForSelector(".flash.good");
  assert.match(house.read("domains.tab"), /^"new\.test"/m);

  await page.goto("/jdwa/domains/new.test/users");
  const password = "pass-word-7c";
  await submit(page, "/domains/new.test/users", { name: "carla", password });
  await page.waitForSelector(".diff .added");
  assert.doesNotMatch(await page.textContent("main"), /pass-word/, "the diff shows no password");
  await confirm(page);
  await page.waitForSelector(".flash.good");
  assert.match(await page.textContent("h1"), /carla/);

  const carla = { user: "carla@new.test", password };
  await send(house, { ...carla, to: "carla@new.test", subject: "from the browser test" });
  const [message] = await eventually("the mail arrives", async () => {
    const all = await fetchAll(house, carla);
    return all.length ? all : null;
  });
  assert.match(message, /^Subject: from the browser test$/m);
});

test("a shell's edit of other rows is merged, of the same row shown as a conflict", async () => {
  house.write("spam-address.tab", "# whom we know\n" + line("*@spam.test"));
  await page.goto("/jdwa/tables/spam-address.tab/row?line=2");
  house.append("spam-address.tab", line("*@worse.test"));
  await submit(page, "/row", { c0: "*@spam.example" });
  await page.waitForSelector(".diff .added");
  await confirm(page);
  await page.waitForSelector(".flash.good");
  assert.equal(house.read("spam-address.tab"), "# whom we know\n" + line("*@spam.example") + line("*@worse.test"));

  await page.goto("/jdwa/tables/spam-address.tab/row?line=2");
  await submit(page, "/row", { c0: "*@mine.test" });
  await page.waitForSelector(".diff .added");
  const theirs = "# whom we know\n" + line("*@theirs.test") + line("*@worse.test");
  house.write("spam-address.tab", theirs);
  await confirm(page);
  await page.waitForSelector(".versions");
  const told = await page.textContent("main");
  for (const version of ["spam.example", "mine.test", "theirs.test"]) assert.ok(told.includes(version), `${version}: ${told}`);
  assert.equal(house.read("spam-address.tab"), theirs, "nothing was written over");
});

test("a table that breaks in a shell is shown with file, line and column, and goes on serving", async () => {
  const good = house.read("aliases.tab");
  house.write("aliases.tab", good + '"home.test"\t"broken\t"anna"\n');
  const place = good.split("\n").length;
  await eventually("the overview tells it", async () => {
    await page.goto("/jdwa/");
    return (await page.textContent("main")).includes(`aliases.tab:${place}:`);
  });
  await page.click(`a:has-text("aliases.tab:${place}")`);
  await page.waitForSelector(".problems .error");
  assert.match(await page.textContent(".problems .error"), new RegExp(`${place}:[1-9]`), "line and column");
  await page.goto("/jdwa/tables");
  assert.match(await page.textContent('tr:has(a[href*="aliases.tab"])'), /not taken/);
  house.write("aliases.tab", good);
  await eventually("it is repaired", async () => {
    await page.goto("/jdwa/");
    return !(await page.textContent("main")).includes("aliases.tab:");
  });
});

test("the text editor tells faults while they are typed, and goes to their line", async () => {
  await page.goto("/jdwa/raw/aliases.tab");
  const text = await page.inputValue("#text");
  await page.fill("#text", text + '"home.test"\t"onlytwo"\n');
  const fault = page.locator(".problems .error");
  await fault.waitFor();
  await fault.locator("a").click();
  const chosen = await page.$eval("#text", (box) => box.value.slice(box.selectionStart, box.selectionEnd));
  assert.equal(chosen, '"home.test"\t"onlytwo"');
  await page.fill("#text", text);
  await page.waitForSelector("#problems .flash.good");
});

test("a thousand users are imported", async () => {
  // Hashing a thousand passwords with argon2id takes a debug build minutes.
  house.write("server.tab", house.read("server.tab").replace('"argon2id"', '"xmail"'));
  await page.goto("/jdwa/domains/new.test/import");
  const users = Array.from({ length: 1000 }, (_, n) => `imported${n},new.test,pw-${n}-x,Name ${n},0571-${n}`);
  await page.fill("#text", ["# A comment", "bad name,new.test,pw", ...users].join("\n"));
  await page.click('main button[value="preview"]');
  await page.waitForSelector("main .problem");
  assert.match(await page.textContent("main .dense"), /bad name/, "a line that is wrong is shown with its reason");
  await page.check('[name="skip"]');
  await page.click('main button[value="import"]');
  await page.waitForSelector(".diff .added");
  await confirm(page);
  await page.waitForSelector(".flash.good");
  assert.equal(house.read("mailusers.tab").match(/^"new.test"\t"imported\d+"/gm).length, 1000);
  const one = { user: "imported999@new.test", password: "pw-999-x" };
  await eventually("the last one can log in", () => fetchAll(house, one).catch(() => null));
});

test("a frozen message is resubmitted and arrives", async () => {
  const far = await farServer(house.far);
  try {
    const carla = { user: "carla@new.test", password: "pass-word-7c" };
    await send(house, { ...carla, to: "someone@far.test", subject: "goes far" });
    const link = page.locator('main tbody a[href*="/jdwa/queue/"]').first();
    await eventually("the message is frozen", async () => {
      await page.goto("/jdwa/queue?part=frozen");
      return (await link.count()) > 0;
    });
    await link.click();
    assert.match(await page.textContent("main"), /nobody of this name/, "the reason");
    far.accepts = true;
    await page.click('main button[value="resubmit"]');
    // Several at once are asked about first.
    const sure = page.locator('main form:has([name="messages"]) button[value="resubmit"]');
    await page.waitForLoadState();
    if (await sure.count()) await sure.click();
    await eventually("it arrives", () => far.taken.some((text) => /^Subject: goes far$/m.test(text)));
  } finally {
    await far.close();
  }
});

test("a domain's administrator sees and does what is of the domain", async () => {
  await page.goto("/jdwa/administrators");
  await submit(page, "/jdwa/administrators", { name: "dora", password: "first password", role: "domain", domains: "new.test" });
  await page.waitForSelector(".diff .added");
  await confirm(page);
  await page.waitForSelector(".flash.good");

  const dora = await visitor(browser, house);
  await logIn(dora, "dora", "first password");
  await dora.waitForURL("**/jdwa/password");
  await choosePassword(dora, "first password", "second password");
  await dora.waitForURL("**/jdwa/**");
  await dora.goto("/jdwa/domains");
  const told = await dora.textContent("main");
  assert.ok(told.includes("new.test") && !told.includes("home.test"), told);
  assert.equal(await dora.locator('.topics a[href="/jdwa/settings"]').count(), 0);
  for (const refused of ["/jdwa/settings", "/jdwa/raw/server.tab", "/jdwa/domains/home.test/users", "/jdwa/administrators"]) {
    const answer = await dora.goto(refused);
    assert.equal(answer.status(), 403, refused);
    assert.ok(await dora.isVisible("main [role=alert]"), "the page says why");
  }
  await dora.goto("/jdwa/domains/new.test/users");
  await submit(dora, "/domains/new.test/users", { name: "emil", password: "pass-word-7" });
  await confirm(dora);
  await dora.waitForSelector(".flash.good");
  assert.match(house.read("mailusers.tab"), /"new\.test"\t"emil"/);
  await dora.context().close();
});

test("without a script forms work", async () => {
  const plain = await admin(browser, house, { javaScriptEnabled: false });
  await plain.goto("/jdwa/raw/aliases.tab");
  await plain.fill("#text", (await plain.inputValue("#text")) + '"home.test"\t"two"\n');
  await plain.click('button[formaction$="/check"]');
  assert.ok(await plain.isVisible(".problems .error"));
  await plain.goto("/jdwa/tables/aliases.tab/row");
  await submit(plain, "/row", { c0: "home.test", c1: "noscript", c2: "anna" });
  assert.ok(await plain.isVisible(".diff .added"));
  await confirm(plain);
  assert.ok(await plain.isVisible(".flash.good"));
  assert.match(house.read("aliases.tab"), /"noscript"\t"anna"/);
  await plain.click('button[name="language"]');
  assert.equal(await plain.getAttribute("html", "lang"), "zh-CN");
  await plain.context().close();
});

test("the keyboard is enough", async () => {
  const keys = await visitor(browser, house, { width: 500 });
  const press = (...all) => all.reduce((before, key) => before.then(() => keys.keyboard.press(key)), Promise.resolve());
  const focused = () => keys.evaluate(() => document.activeElement?.cloneNode().outerHTML ?? "");
  const until = async (mark) => {
    for (let tries = 0; tries < 60; tries++) {
      if ((await focused()).includes(mark)) return;
      await press("Tab");
    }
    assert.fail(`no ${mark} within 60 tabs; at ${await focused()}`);
  };
  await keys.goto("/jdwa/login");
  // The name has the focus.
  await keys.keyboard.type("admin");
  await press("Tab");
  await keys.keyboard.type(PASSWORD);
  await press("Enter");
  await keys.waitForURL("**/jdwa/");
  await press("Tab", "Enter");
  assert.match(await focused(), /id="content"/, "the first stop skips to the content");
  await keys.goto("/jdwa/");
  await until('class="menu"');
  await press("Enter");
  assert.ok(await keys.isVisible("#topics"));
  await press("Escape");
  assert.ok(!(await keys.isVisible("#topics")));
  assert.match(await focused(), /class="menu"/, "Escape goes back to the button");
  await press("Enter");
  await until('href="/jdwa/domains"');
  await Promise.all([keys.waitForURL("**/jdwa/domains"), press("Enter")]);
  await until('name="domain"');
  await keys.keyboard.type("typed.test");
  await press("Enter");
  await keys.waitForSelector(".diff .added");
  assert.match(await focused(), /<button/, "the confirmation waits for Enter");
  await press("Enter");
  await keys.waitForSelector(".flash.good");
  assert.match(house.read("domains.tab"), /"typed\.test"/);
  await keys.context().close();
});

test("languages are chosen by the browser at first, then by hand", async () => {
  const reader = await visitor(browser, house, { language: "zh-CN" });
  await reader.goto("/jdwa/login");
  assert.equal(await reader.getAttribute("html", "lang"), "zh-CN");
  assert.match(await reader.textContent("h1"), /登录/);
  await reader.click('button[value="en"]');
  assert.equal(await reader.getAttribute("html", "lang"), "en");
  await reader.reload();
  assert.match(await reader.textContent("h1"), /Log in/, "it stays chosen");
  await reader.click('button[name="theme"]');
  assert.equal(await reader.getAttribute("html", "data-theme"), "dark");
  await reader.context().close();
});

test("the browser had nothing to complain about", () => assert.deepEqual(page.faults, []));
