// What a page does for its readers beside the theme: what scrolls sideways can be
// reached by keyboard, also after it has been unfolded, and paper is always white.

const SCROLLERS = "pre, .math-line, .cell_output > .output, .pst-scrollable-table-container";

function watchScrollers() {
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const part = target.closest(SCROLLERS);
      part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
    }
  });
  for (const part of document.querySelectorAll(`${SCROLLERS}, .math-line > math`))
    watch.observe(part); // an equation grows when its font has come
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
