// The boxes of the study plan keep their ticks in this browser; nothing is sent anywhere.
document.addEventListener("DOMContentLoaded", () => {
  const page = location.pathname.split("/").pop();
  for (const item of document.querySelectorAll("li.task-list-item")) {
    const box = item.querySelector("input[type=checkbox]");
    if (!box) continue;
    const words = item.textContent.trim().replace(/\s+/g, " ");
    const key = `ticked:${page}:${words}`;
    box.setAttribute("aria-label", words);
    try {
      box.checked = localStorage.getItem(key) === "1";
    } catch {
      continue; // storage is switched off: the boxes work until the page is closed
    }
    box.addEventListener("change", () => {
      try {
        if (box.checked) localStorage.setItem(key, "1");
        else localStorage.removeItem(key);
      } catch {
        // the browser's store is full: the tick lasts until the page is closed
      }
    });
  }
});
