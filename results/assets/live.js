// Follows runs that are going on: what the page says of them is asked for again
// and again, and only ever set as text. A run that has ended is shown anew.
"use strict";
(() => {
  async function follow(element) {
    try {
      const answer = await fetch(element.dataset.live);
      if (!answer.ok) return;
      const now = await answer.json();
      if (element.textContent !== now.text) element.textContent = now.text;
      if (!now.running) location.reload();
    } catch { /* the server is away: ask again */ }
  }
  const elements = [...document.querySelectorAll("[data-live]")];
  if (elements.length > 0) setInterval(() => elements.forEach(follow), 1000);
})();
