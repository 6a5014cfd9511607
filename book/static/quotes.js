// The search page quotes from PAGE_TEXTS, which stands beside it, and fetches no page:
// from disk a browser would refuse to. Only on the search page (tools/excerpts.py).

const pageOf = (address) => new URL(address, location.href).pathname.split("/").pop();

// Sphinx's search asks for a page, and hands what it got to htmlToText, with the section.
window.fetch = async (address) => ({ text: async () => pageOf(address) });

Search.htmlToText = (page, anchor) => {
  const sections = PAGE_TEXTS[page] ?? [];
  const wanted = sections.filter(([id]) => `#${id}` === anchor);
  return (wanted.length ? wanted : sections).map(([, text]) => text).join(" ");
};
