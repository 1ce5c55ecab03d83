// Mark in the contents the section that is being read.
(() => {
  const links = new Map(
    [...document.querySelectorAll("nav a[href^='#']")].map((a) => [a.getAttribute("href").slice(1), a]),
  );
  const sections = [...document.querySelectorAll("main section[id]")];
  let waiting = false;
  const mark = () => {
    waiting = false;
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
    const passed = sections.filter((s) => s.getBoundingClientRect().top < innerHeight * 0.35);
    const here = atEnd ? sections.at(-1) : passed.at(-1);
    for (const [id, link] of links) {
      if (here && id === here.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => {
    if (!waiting) { waiting = true; requestAnimationFrame(mark); }
  }, { passive: true });
  mark();
  // What is laid out later (page.css) follows when the browser has time: whoever takes a picture of
  // the whole page finds it all.
  const soon = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
  const layOut = () => {
    const section = document.querySelector(".later");
    if (!section) return;
    section.classList.remove("later");
    soon(layOut);
  };
  addEventListener("load", () => setTimeout(() => soon(layOut), 400));
})();
