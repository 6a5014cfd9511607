// What a page does for its readers beside the theme: what scrolls sideways can be
// reached by keyboard, also after it has been unfolded, and paper is always white.

const SCROLLERS = "pre, .math-line, .cell_output > .output, .pst-scrollable-table-container";

function watchScrollers() {
  const parts = [...document.querySelectorAll(SCROLLERS)];
  const look = (part) => {
    part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
  };
  const watch = new ResizeObserver((entries) => entries.forEach((e) => look(e.target)));
  for (const part of parts) watch.observe(part);
  document.fonts.addEventListener("loadingdone", () => parts.forEach(look));
}

function printOnWhite() {
  const root = document.documentElement;
  const paper = matchMedia("print");
  let theme = null; // the reader's, while the page is being printed
  const turn = () => {
    if (paper.matches && theme === null) {
      theme = root.dataset.theme;
      root.dataset.theme = "light";
    } else if (!paper.matches && theme !== null) {
      root.dataset.theme = theme;
      theme = null;
    }
  };
  paper.addEventListener("change", turn);
}

document.addEventListener("DOMContentLoaded", () => {
  watchScrollers();
  printOnWhite();
});
