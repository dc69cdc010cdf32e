// Pages of accounts, rules, services and files: each once through the browser, its effect in the file.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { admin, confirm, launch, submit } from "./browser.mjs";
import { eventually, line, open } from "./house.mjs";

let house, browser, page;

before(async () => {
  house = await open();
  browser = await launch();
  page = await admin(browser, house);
});

after(async () => {
  await browser?.close();
  await house?.stop();
});

/** What was proposed is confirmed and told as done. */
async function done() {
  await page.waitForSelector(".diff .added, .diff .removed");
  await confirm(page);
  await page.waitForSelector(".flash.good");
}

test("a group gets a member", async () => {
  await page.goto("/jdwa/domains/home.test/groups/staff");
  await page.fill("#names", "user3");
  await page.click("form:has(#names) button");
  await done();
  assert.equal(house.read("groups/home.test/staff/members.tab"), line("bert") + line("zhang.wei") + line("user3"));
});

test("a list gets a member with rights", async () => {
  await page.goto("/jdwa/domains/home.test/lists/team");
  await page.fill("#members", "user4@home.test");
  await page.click("form:has(#members) button");
  await done();
  assert.match(house.read("domains/home.test/team/mlusers.tab"), /^"user4@home\.test"\t"RW"$/m);
});

test("a user's mail goes on to another server", async () => {
  await page.goto("/jdwa/domains/home.test/users/user5");
  await submit(page, "/user5/relay", { hosts: "mail.partner.test:25" });
  await done();
  assert.match(house.read("domains/home.test/user5/mailproc.tab"), /"smtprelay"\t"mail\.partner\.test:25/);
});

test("the settings of an account stand in groups", async () => {
  await page.goto("/jdwa/domains/home.test/users/bert");
  assert.equal(await page.locator(".fields > h3").count(), 4);
});

test("mail processing gets a line, comments stay", async () => {
  const file = "domains/home.test/bert/mailproc.tab", before = house.read(file);
  await page.goto("/jdwa/domains/home.test/users/bert/rows/mailproc.tab");
  await page.click('.commands a[href$="command=redirect"]');
  await page.fill("main form textarea", "user1@home.test");
  await page.click("main form button.main");
  await done();
  assert.equal(house.read(file), before + line("redirect", "user1@home.test"));
});

test("a fault in an account's table is told on its page, which leads to the text", async () => {
  const file = "domains/home.test/bert/mailproc.tab", good = house.read(file);
  house.write(file, good + '"redirect\n');
  await page.goto("/jdwa/domains/home.test/users/bert/rows/mailproc.tab");
  await page.locator('main a[href*="/jdwa/text/"]').first().click();
  await page.waitForSelector("#problems .error, #problems .warning");
  await page.fill("#text", good);
  await page.click("form:has(#text) button.main");
  await done();
  assert.equal(house.read(file), good);
});

test("a department is put into the address book", async () => {
  await page.goto("/jdwa/domains/home.test/addressbook");
  await submit(page, "/addressbook", { path: "Sales/Europe" });
  await done();
  await page.goto("/jdwa/domains/home.test/addressbook");
  assert.match(await page.textContent("main"), /Europe/);
});

test("access: the box tells which row decides about an address", async () => {
  house.write("spammers.tab", line("203.0.113.0/24"));
  await page.goto("/jdwa/spam");
  await page.fill("#ask", "203.0.113.9");
  await page.click(".ask button");
  await page.waitForSelector("tr.decides");
  assert.match(await page.textContent("tr.decides"), /203\.0\.113\.0\/24/);
  await page.fill("#ask", "192.0.2.200");
  await page.click(".ask button");
  await page.waitForSelector(".ask .flash");
  assert.equal(await page.locator("tr.decides").count(), 0);
});

test("POP3 is closed and opened again", async () => {
  await page.goto("/jdwa/services");
  const row = page.locator('main tr:has(input[name="service"][value="pop3"])');
  const told = async (value) => {
    await row.locator(`button[value="${value}"]`).click();
    await page.waitForLoadState();
    if (await page.locator('main form[action$="/confirm"] button').count()) await confirm(page);
    const other = value === "close" ? "open" : "close";
    await eventually(`after ${value}`, async () => {
      await page.goto("/jdwa/services");
      return row.locator(`button[value="${other}"]`).count();
    });
  };
  await told("close");
  await told("open");
});

test("faults are written under their lines while they are typed", async () => {
  await page.goto("/jdwa/raw/aliases.tab");
  const text = await page.inputValue("#text");
  await page.fill("#text", text + '"home.test"\t"onlytwo"\n' + line("home.test", "fine", "anna"));
  const note = page.locator(".under .error");
  await note.waitFor();
  const at = await page.evaluate(() => {
    const box = document.querySelector("#text"), style = getComputedStyle(box);
    const line = box.value.split("\n").findIndex((one) => one.includes("onlytwo")) + 1;
    const top = box.getBoundingClientRect().top + parseFloat(style.paddingTop), height = parseFloat(style.lineHeight), size = parseFloat(style.fontSize);
    const { top: above, bottom } = document.querySelector(".under .error").getBoundingClientRect();
    const middle = (number) => top + (number - 0.5) * height - box.scrollTop;
    return { above, bottom, end: middle(line) + size / 2, next: middle(line + 1) - size / 2 };
  });
  assert.ok(at.above >= at.end - 1 && at.bottom <= at.next + 1, `between its line and the next: ${JSON.stringify(at)}`);
  await page.fill("#text", text);
  await page.waitForSelector("#problems .flash.good");
  assert.equal(await page.locator(".under span").count(), 0);
});

test("a new log line appears while the log is followed", async () => {
  await page.goto("/jdwa/logs?file=smtp-202611230000");
  await page.click("a[data-follow]");
  house.append("logs/smtp-202611230000", line("home.test", "localhost", "192.0.2.7", "2026-11-23 11:00:00", "me@far.test", "home.test", "followed@home.test", "S9F", "RCPT=OK", "", "812", ""));
  await page.waitForSelector('#log-rows :text("followed@home.test")');
});

test("the history shows a change and takes it back", async () => {
  const before = house.read("spam-address.tab");
  await page.goto("/jdwa/tables/spam-address.tab/row");
  await submit(page, "/row", { c0: "*@rolled-back.test" });
  await done();
  await eventually("the change is in the history", async () => {
    await page.goto("/jdwa/history?q=spam-address.tab");
    return (await page.locator('main tbody a[href*="/history/"]').count()) > 1;
  });
  await page.locator('main tbody a[href*="/history/"]').first().click();
  assert.match(await page.textContent(".diff .added"), /rolled-back/);
  await page.goto("/jdwa/history/1");
  await page.locator(".change", { hasText: "spam-address.tab" }).locator("button").click();
  await done();
  assert.equal(house.read("spam-address.tab"), before);
});

test("a self-signed certificate is made", async () => {
  const before = house.read("server.cert");
  await page.goto("/jdwa/certificates");
  await page.fill("#names", "mail.home.test");
  await page.click('button[value="self_signed"]');
  await page.waitForSelector('form[action$="/confirm"]');
  await confirm(page);
  await page.waitForSelector(".flash.good");
  assert.notEqual(house.read("server.cert"), before);
  assert.match(await page.textContent("main"), /mail\.home\.test/);
});

test("a table is brought back from a backup", async () => {
  const before = house.read("extaliases.tab");
  await page.goto("/jdwa/backup");
  await page.click('main button[value="make"]');
  const link = page.locator('main tbody a[href^="/jdwa/backup/tabmail-"]').first();
  await eventually("there is a backup", async () => {
    await page.goto("/jdwa/backup");
    return (await link.count()) > 0 && !(await page.$("main progress"));
  });
  house.write("extaliases.tab", "");
  await link.click();
  assert.match(await page.textContent("main"), /extaliases\.tab/);
  await page.check('[name="table"][value="extaliases.tab"]');
  await page.click('main button[value="tables"]');
  await done();
  assert.equal(house.read("extaliases.tab"), before);
});

test("the browser had nothing to complain about", () => assert.deepEqual(page.faults, []));
