// What moves on a page: times in the reader's zone, and fragments that the server sends, put in place by their ids.
"use strict";
(() => {
  const body = document.body;
  const link = document.getElementById("link");
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
  let at = body.dataset.at;
  let stream = null;
  let later = 0;

  const zone = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      if (!time.title) {
        time.title = time.textContent;
        time.textContent = format.format(new Date(time.dateTime));
      }
    }
  };

  const replace = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    const focus = document.activeElement;
    const isInside = old.contains(focus) && focus !== body;
    const isEdited = (field) => field.type !== "hidden" && field.value !== field.defaultValue;
    if ([...old.querySelectorAll("input")].some(isEdited)) return; // a person is typing there
    for (const details of fresh.querySelectorAll("details[id]")) {
      const before = document.getElementById(details.id);
      if (before) details.open = before.open;
    }
    const scrolled = [...old.querySelectorAll(".wide")].map((box) => box.scrollLeft);
    old.replaceWith(fresh);
    fresh.querySelectorAll(".wide").forEach((box, number) => { box.scrollLeft = scrolled[number] || 0; });
    if (isInside) {
      const again = fresh.id === focus.id ? fresh
        : focus.id ? document.getElementById(focus.id)
        : [...fresh.querySelectorAll("a[href]")].find((each) => each.href === focus.href);
      if (again) again.focus({ preventScroll: true });
    }
  };

  const place = (text) => {
    const made = document.createElement("template");
    made.innerHTML = text;
    zone(made.content);
    for (const fresh of [...made.content.children]) {
      const old = document.getElementById(fresh.id);
      if (old) replace(old, fresh);
    }
  };

  const close = () => {
    if (stream) stream.close();
    stream = null;
    clearTimeout(later);
  };

  const open = () => {
    if (stream || document.hidden || at === undefined) return;
    const page = encodeURIComponent(location.pathname + location.search);
    stream = new EventSource(`/live?page=${page}&after=${encodeURIComponent(at)}`);
    stream.onopen = () => { link.hidden = true; };
    stream.onmessage = (event) => {
      if (event.lastEventId) at = event.lastEventId;
      place(event.data);
    };
    stream.onerror = () => {
      link.hidden = false;
      close(); // come back with the position of the last fragment, also after an answer that ends an EventSource
      later = setTimeout(open, 2000);
    };
  };

  zone(document);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
