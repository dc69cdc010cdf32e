// Small comforts; every page works without them.
"use strict";

// Tables become lists on narrow screens (admin.css): each value knows the heading of its column.
for (const table of document.querySelectorAll(".scroll > table:not(.dense)")) {
  const names = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent.trim());
  for (const row of names.length > 1 ? [...table.tBodies].flatMap((body) => [...body.rows]) : []) {
    for (const cell of row.cells) {
      const name = names[cell.cellIndex];
      if (name && cell.colSpan === 1 && cell.textContent.trim() && !cell.classList.contains("acts")) {
        cell.dataset.label = name;
        // One box beside the heading, whatever the cell holds.
        const value = document.createElement("div");
        value.append(...cell.childNodes);
        cell.append(value);
      }
    }
  }
  table.classList.toggle("stacked", names.length > 1);
}

// The topic and the tab of this page are in sight, wherever their list is scrolled to.
for (const list of document.querySelectorAll(".topics, .tabs")) {
  const here = list.querySelector("[aria-current]");
  if (here) {
    list.scrollTop = here.offsetTop - list.offsetTop - list.clientHeight / 2;
    list.scrollLeft = here.offsetLeft - list.offsetLeft - list.clientWidth / 2;
  }
}

// What scrolls sideways can be reached with the keyboard.
const scrollers = document.querySelectorAll(".scroll, .text, .diff");
const reach = () => {
  for (const box of scrollers) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) {
      box.tabIndex = 0;
    } else {
      box.removeAttribute("tabindex");
    }
  }
};
reach();
addEventListener("resize", reach);

// All boxes of a list at once: <input type="checkbox" data-all="NAME">.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of all.form.querySelectorAll(`input[name="${CSS.escape(all.dataset.all)}"]`)) {
      box.checked = all.checked;
    }
  });
}

// The raw editor: what is wrong with the text appears while it is typed.
const text = document.querySelector("textarea[data-check]");
if (text) {
  // Numbers of the lines, and which of them have faults.
  const numbers = document.createElement("pre");
  numbers.className = "numbers";
  numbers.setAttribute("aria-hidden", "true");
  const editor = document.createElement("div");
  editor.className = "editor";
  text.before(editor);
  // What is wrong with a line is written under it; the list below says the same to who cannot see it.
  const place = document.createElement("div"), under = document.createElement("div");
  place.className = "place";
  under.className = "under";
  under.setAttribute("aria-hidden", "true");
  place.append(text, under);
  editor.append(numbers, place);
  const UNDER_MAX = 200;
  const write = () => {
    const told = new Map();
    for (const link of [...document.querySelectorAll("#problems [data-line]")].slice(0, UNDER_MAX)) {
      const item = link.closest("li"), line = Number(link.dataset.line), known = told.get(line);
      const said = item.querySelector("span").textContent.trim().replace(/\s+/g, " ");
      told.set(line, { kind: known?.kind === "error" ? "error" : item.className, said: known ? `${known.said} · ${said}` : said });
    }
    // Lines move apart only while there is something to write between them; the first line that is seen stays.
    const first = text.scrollTop / parseFloat(getComputedStyle(text).lineHeight);
    const changes = editor.classList.contains("faulty") !== told.size > 0;
    editor.classList.toggle("faulty", told.size > 0);
    const height = parseFloat(getComputedStyle(text).lineHeight);
    if (changes) {
      text.scrollTop = first * height;
    }
    under.textContent = "";
    for (const [line, { kind, said }] of told) {
      const note = document.createElement("span");
      note.className = kind;
      note.textContent = said;
      note.dataset.at = line * height + parseFloat(getComputedStyle(text).paddingTop) - 5;
      under.append(note);
    }
    follow();
  };
  const follow = () => {
    for (const note of under.children) {
      note.style.top = note.dataset.at - text.scrollTop + "px";
    }
  };
  const number = () => {
    const faults = new Map();
    for (const place of document.querySelectorAll("#problems [data-line]")) {
      const kind = place.closest("li").className;
      faults.set(Number(place.dataset.line), faults.get(Number(place.dataset.line)) === "error" ? "error" : kind);
    }
    const count = text.value.split("\n").length;
    numbers.textContent = "";
    let from = 1;
    for (const line of [...faults.keys()].filter((line) => line <= count).sort((a, b) => a - b)) {
      const mark = document.createElement("b");
      mark.className = faults.get(line);
      mark.textContent = line + "\n";
      numbers.append(run(from, line - 1), mark);
      from = line + 1;
    }
    numbers.append(run(from, count), "\n");
    numbers.scrollTop = text.scrollTop;
  };
  const run = (from, to) => {
    let lines = "";
    for (let line = from; line <= to; line++) {
      lines += line + "\n";
    }
    return lines;
  };
  text.addEventListener("scroll", () => { numbers.scrollTop = text.scrollTop; follow(); });
  write();
  number();
  let timer = 0, asked = 0;
  text.addEventListener("input", () => {
    number();
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(text.form));
      const answer = await fetch(text.dataset.check, { method: "POST", body });
      const html = await answer.text();
      if (answer.ok && !answer.redirected && mine === asked) {
        document.getElementById("problems").innerHTML = html;
        write();
        number();
      }
    }, 400);
  });
  // A TAB is what separates columns. Escape first lets the key leave the field again.
  let leaves = false;
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      leaves = true;
    } else if (event.key === "Tab" && !event.shiftKey && !leaves) {
      event.preventDefault();
      text.setRangeText("\t", text.selectionStart, text.selectionEnd, "end");
      text.dispatchEvent(new Event("input"));
    } else if (event.key !== "Shift") {
      leaves = false;
    }
  });
  // The line of a fault, from the list below or from another page.
  const goTo = (line) => {
    const start = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const end = text.value.indexOf("\n", start);
    text.focus();
    text.setSelectionRange(start, end < 0 ? text.value.length : end);
    text.scrollTop = (line - 5) * parseFloat(getComputedStyle(text).lineHeight);
  };
  document.getElementById("problems").addEventListener("click", (event) => {
    const line = event.target.closest("[data-line]")?.dataset.line;
    if (line) {
      event.preventDefault();
      goTo(Number(line));
    }
  });
  const line = Number(new URLSearchParams(location.search).get("line"));
  if (line > 0) {
    goTo(line);
  }
}

// Logs: what is new is fetched and put on top; without this the page is loaded again every few seconds.
const follow = document.querySelector("a[data-follow]");
if (follow) {
  let timer = 0, place = follow.dataset.place;
  const ended = Date.now() + 3600000;
  const look = async () => {
    if (!document.hidden) {
      const answer = await fetch(follow.dataset.follow + "&place=" + place);
      if (!answer.ok || answer.redirected) {
        return;
      }
      const part = document.createElement("template");
      part.innerHTML = await answer.text();
      const rows = part.content.querySelector("tbody");
      const shown = document.getElementById("log-rows");
      place = rows.dataset.place;
      shown.prepend(...rows.children);
      while (shown.children.length > 1000) {
        shown.lastElementChild.remove();
      }
    }
    // A tab that is forgotten does not keep its session for ever.
    if (timer && Date.now() < ended) {
      timer = setTimeout(look, 2000);
    }
  };
  follow.addEventListener("click", (event) => {
    if (follow.getAttribute("aria-pressed") === "true" && !timer) {
      return;
    }
    event.preventDefault();
    clearTimeout(timer);
    timer = timer ? 0 : setTimeout(look, 1);
    follow.setAttribute("aria-pressed", timer ? "true" : "false");
  });
}
