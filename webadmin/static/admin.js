// Small comforts; every page works without them.
"use strict";

// The raw editor: what is wrong with the text appears while it is typed.
const text = document.querySelector("textarea[data-check]");
if (text) {
  let timer = 0, asked = 0;
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const mine = ++asked;
      const body = new URLSearchParams(new FormData(text.form));
      const answer = await fetch(text.dataset.check, { method: "POST", body });
      const html = await answer.text();
      if (answer.ok && !answer.redirected && mine === asked) {
        document.getElementById("problems").innerHTML = html;
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
  const line = Number(new URLSearchParams(location.search).get("line"));
  if (line > 0) {
    const start = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const end = text.value.indexOf("\n", start);
    text.focus();
    text.setSelectionRange(start, end < 0 ? text.value.length : end);
  }
}
