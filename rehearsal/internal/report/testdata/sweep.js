// Opens everything that is folded, looks at every box and every text of the page, and returns what it found.
(() => {
  const found = { boxes: 0, texts: 0, cards: 0, problems: [], least: Infinity };
  const complain = (what, element) => {
    if (found.problems.length < 20) found.problems.push(`${what}: ${element.outerHTML.slice(0, 160)}`);
  };
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) complain(`the page is ${root.scrollWidth} wide in a window of ${innerWidth}`, root);

  // What scrolls or clips sideways holds its content; the content's own box may be wider.
  const holder = (element) => {
    for (let e = element.parentElement; e; e = e.parentElement) {
      if (getComputedStyle(e).overflowX !== "visible") return e;
    }
    return null;
  };
  const shown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  for (const element of document.body.querySelectorAll("*")) {
    if (!shown(element) || element.closest("defs")) continue;
    found.boxes++;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (!holder(element) && (box.left < -0.5 || box.right > innerWidth + 0.5)) complain(`from ${box.left} to ${box.right}`, element);
    if (style.overflowX === "hidden" && style.textOverflow !== "ellipsis" && element.scrollWidth > element.clientWidth + 1) complain("cut off", element);
  }
  for (const box of document.querySelectorAll("svg a.box")) {
    const rect = box.querySelector("rect").getBoundingClientRect();
    for (const text of box.querySelectorAll(".card > div > *")) {
      found.cards++;
      const t = text.getBoundingClientRect();
      if (t.left < rect.left || t.right > rect.right || t.top < rect.top || t.bottom > rect.bottom) complain("text pokes out of its box", text);
    }
  }

  // Contrast as WCAG computes it: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
  const colour = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1,
  });
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const box = e.matches("a.box") && e.querySelector("rect");
      layers.push(colour(box ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor));
      if (layers.at(-1).a === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const luminance = (c) => {
    const [r, g, b] = [c.r, c.g, c.b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !shown(element) || element.closest("title")) continue;
    found.texts++;
    const style = getComputedStyle(element), back = behind(element);
    const front = over(colour(style.color), back);
    const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    found.least = Math.min(found.least, contrast);
    if (contrast < 4.5) complain(`contrast ${contrast.toFixed(2)}`, element);
  }
  return found;
})()
