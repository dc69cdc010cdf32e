// A MailRoot with something in every table, the real server on it, and the mail that tests send and fetch.

import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";

/** How long anything the server should do at once may take on a busy machine, in milliseconds. */
export const PATIENCE_MS = 30_000;

const POLL_MS = 10;

export const top = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "../..");

/** Waits until `condition` gives something true, and gives it back. */
export async function eventually(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`did not happen within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** Free ports on loopback, all different. */
async function freePorts(count) {
  const held = await Promise.all(
    Array.from({ length: count }, () => new Promise((done, fail) => {
      const server = net.createServer().once("error", fail).listen(0, "127.0.0.1", () => done(server));
    })),
  );
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export const line = (...columns) => columns.map((column) => `"${column}"`).join("\t") + "\n";

const LONG = "a-rather-long-name-of-a-domain.department.example.test";

/** Rows for many tables: pages without rows prove little. */
function furnish(root) {
  const add = (file, text) => {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.appendFileSync(path.join(root, file), text);
  };
  add("domains.tab", line("office.test") + line(LONG));
  for (const name of ["office.test", LONG]) fs.mkdirSync(path.join(root, "domains", name), { recursive: true });
  const users = ["bert", "zhang.wei", "a.person-with-quite-a-long-name", ...Array.from({ length: 70 }, (_, n) => `user${n}`)];
  add("mailusers.tab", users.map((name, n) => `"home.test"\t"${name}"\t"1d0a"\t${n + 10}\t"${name}"\t"U"\n`).join(""));
  add("mailusers.tab", `"home.test"\t"team"\t"1d0a"\t900\t"team"\t"M"\n`);
  for (const name of [...users, "team"]) {
    fs.mkdirSync(path.join(root, "domains/home.test", name, "Maildir/new"), { recursive: true });
  }
  add("domains/home.test/bert/user.tab", "# Bert's\n" + line("RealName", "Bert 张伟") + line("MaxMBSize", "20480"));
  add("groups/home.test/staff/members.tab", line("bert") + line("zhang.wei"));
  add("groups/home.test/staff/user.tab", "# All\n" + line("MaxMBSize", "102400"));
  add("domains/home.test/team/mlusers.tab", line("anna@home.test", "RW") + line("someone@elsewhere.test", "R"));
  add("domains/home.test/bert/mailproc.tab", line("mailbox") + "# And a copy\n" + line("redirect", "anna@home.test"));
  add("domains/home.test/mailproc.tab", line("mailbox"));
  add("domains/home.test/userdef.tab", line("MaxMBSize", "5120"));
  add("cmdaliases/home.test/help.tab", line("redirect", "anna@home.test"));
  add("custdomains/tocustom.test.tab", line("redirect", "anna@home.test"));
  add("smtp.ipprop.tab", line("192.0.2.7/32", "WhiteList=1", "EnableVRFY=1"));
  add("smtpgw.tab", line("partner.test", "@relay.partner.test"));
  add("filters.in.tab", line("*", "*", "0.0.0.0/0", "0.0.0.0/0", "scan.tab"));
  add("filters/scan.tab", line("/bin/true", "@@FILE"));
  add("aliases.tab", "# Names of people\n" + line("home.test", "boss", "anna") + line("home.test", "info*", "bert"));
  add("aliasdomain.tab", line("mail.home.test", "home.test"));
  add("extaliases.tab", line("outside.test", "anna", "home.test", "anna"));
  add("spammers.tab", line("203.0.113.0/24") + line("198.51.100.7", "255.255.255.255", "code=10"));
  add("spam-address.tab", line("*@spam.test"));
  add("pop3links.tab", line("home.test", "anna", "127.0.0.1:1", "anna", "1d0a", "APOP"));
  // A backup with nothing in it: two empty blocks of tar.
  add("backups/example.tar.gz", gzipSync(Buffer.alloc(1024)));
  add("logs/smtp-202611230000", line("home.test", "localhost", "192.0.2.7", "2026-11-23 10:00:00", "me@far.test", "home.test", "anna@home.test", "S1F", "RCPT=OK", "", "812", "").repeat(40));
}

/** A server on a MailRoot of its own. `stop` ends it and removes the files. */
export async function open({ flags = [] } = {}) {
  const program = process.env.TABMAIL ?? path.join(top, "target/debug/tabmail");
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "tabmail-browser-"));
  const root = path.join(directory, "MailRoot");
  const made = spawnSync(program, ["init", root, "--domain", "home.test", "--account", "anna"], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`${program} init: ${made.error ?? made.stderr}`);
  furnish(root);
  const [smtp, pop3, far] = await freePorts(3);
  fs.appendFileSync(path.join(root, "smtpfwd.tab"), line("far.test", `127.0.0.1:${far}`));
  const words = ["serve", "--web=127.0.0.1:0", "-Ms", root, "-Sl", "-Ql", "-SI", `127.0.0.1:${smtp}`, "-PI", `127.0.0.1:${pop3}`,
    "-Qt", "1", "-Qi", "1", "-Qr", "2", "-Pw", "0", "-C-", "-W-", "-F-", "-X-", "-B-", "-I-", "-J-", "-Y-", ...flags, ...(process.env.TABMAIL_FLAGS?.split(" ") ?? [])];
  const child = spawn(program, words, { env: { ...process.env, XMAIL_PID_DIR: directory, MAIL_CMD_LINE: "" }, stdio: ["ignore", "pipe", "pipe"] });
  const house = { root, smtp, pop3, far, output: "", stop };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => { house.output += text; });
  }
  const ended = new Promise((done) => child.once("exit", done));
  async function stop() {
    child.kill("SIGTERM");
    await ended;
    fs.rmSync(directory, { recursive: true, force: true });
  }
  process.once("exit", () => child.kill("SIGKILL"));
  try {
    await eventually("the server is up", async () => {
      if (child.exitCode !== null) throw new Error(`the server ended:\n${house.output}`);
      house.url = /web administration: (http\S+)\/jdwa\//.exec(house.output)?.[1];
      house.password = /user admin {2}password (\S+)/.exec(house.output)?.[1];
      return house.url && house.password && (await answers(smtp)) && (await answers(pop3));
    });
  } catch (error) {
    await stop();
    throw error;
  }
  house.read = (file) => fs.readFileSync(path.join(root, file), "utf8");
  /** The number of the line that holds a text. */
  house.lineOf = (file, text) => house.read(file).split("\n").findIndex((one) => one.includes(text)) + 1;
  house.write = (file, text) => fs.writeFileSync(path.join(root, file), text);
  house.append = (file, text) => fs.appendFileSync(path.join(root, file), text);
  return house;
}

function answers(port) {
  return new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); done(true); });
    socket.once("error", () => done(false));
  });
}

/** Says lines and gives each answer; a last line is one that `isLast` takes. */
async function dialogue(port, isLast, talk) {
  const socket = net.connect(port, "127.0.0.1").setEncoding("utf8");
  const lines = [], waiting = [];
  let rest = "", failure;
  const hand = () => { while (lines.length && waiting.length) waiting.shift().done(lines.shift()); };
  const fail = (error) => { failure = error; for (const one of waiting.splice(0)) one.fail(error); };
  socket.on("data", (text) => {
    const parts = (rest + text).split("\r\n");
    rest = parts.pop();
    lines.push(...parts);
    hand();
  });
  socket.on("error", fail).on("close", () => fail(new Error("the connection was closed")));
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer in time")));
  const next = () => new Promise((done, bad) => {
    if (failure && !lines.length) return bad(failure);
    waiting.push({ done, fail: bad });
    hand();
  });
  const answer = async () => {
    const all = [];
    do all.push(await next()); while (!isLast(all.at(-1)));
    return all.join("\n");
  };
  const say = async (text, wanted) => {
    socket.write(text + "\r\n");
    const told = await answer();
    if (wanted && !told.startsWith(wanted)) throw new Error(`${text}: ${told}`);
    return told;
  };
  try {
    await answer();
    return await talk(say, next);
  } finally {
    socket.removeAllListeners("close").destroy();
  }
}

/** Sends one message as a user who logs in. */
export function send(house, { user, password, to, subject }) {
  return dialogue(house.smtp, (text) => text[3] !== "-", async (say) => {
    await say("EHLO client.test", "250");
    await say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString("base64")}`, "235");
    await say(`MAIL FROM:<${user}>`, "250");
    await say(`RCPT TO:<${to}>`, "250");
    await say("DATA", "354");
    await say(`From: <${user}>\r\nTo: <${to}>\r\nSubject: ${subject}\r\n\r\nHello.\r\n.`, "250");
    await say("QUIT");
  });
}

/** All messages of a user's mailbox, as text. */
export function fetchAll(house, { user, password }) {
  return dialogue(house.pop3, () => true, async (say, next) => {
    await say(`USER ${user}`, "+OK");
    await say(`PASS ${password}`, "+OK");
    const count = Number((await say("STAT", "+OK")).split(" ")[1]);
    const messages = [];
    for (let number = 1; number <= count; number++) {
      await say(`RETR ${number}`, "+OK");
      const lines = [];
      for (let text = await next(); text !== "."; text = await next()) lines.push(text);
      messages.push(lines.join("\n"));
    }
    await say("QUIT");
    return messages;
  });
}

/** The server of far.test: refuses recipients until `accepts` is set, and remembers what it took. */
export async function farServer(port) {
  const far = { accepts: false, taken: [] };
  const server = net.createServer((socket) => {
    let rest = "", data = null;
    socket.on("error", () => {}).setEncoding("utf8").write("220 far.test\r\n");
    socket.on("data", (text) => {
      const lines = (rest + text).split("\r\n");
      rest = lines.pop();
      for (const one of lines) {
        if (data !== null) {
          if (one !== ".") { data.push(one); continue; }
          far.taken.push(data.join("\n"));
          data = null;
          socket.write("250 taken\r\n");
        } else if (/^RCPT/i.test(one)) {
          socket.write(far.accepts ? "250 ok\r\n" : "550 5.1.1 nobody of this name\r\n");
        } else if (/^DATA/i.test(one)) {
          data = [];
          socket.write("354 go on\r\n");
        } else if (/^QUIT/i.test(one)) {
          socket.end("221 bye\r\n");
        } else {
          socket.write("250 ok\r\n");
        }
      }
    });
  });
  await new Promise((done, fail) => server.once("error", fail).listen(port, "127.0.0.1", done));
  far.close = () => new Promise((done) => server.close(done));
  return far;
}
