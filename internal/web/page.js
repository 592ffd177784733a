// Replaces the page's content while the run goes on. Where scripts are off,
// the page reloads itself instead.
const refresh = async () => {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, {cache: "no-store"});
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.querySelector("main").replaceWith(next.querySelector("main"));
        document.querySelector("link[rel=icon]").replaceWith(next.querySelector("link[rel=icon]"));
        document.title = next.title;
      }
    } catch {
      // The server restarts: the next attempt tells.
    }
  }
  if (document.querySelector("main[data-live]")) setTimeout(refresh, 2000);
};
setTimeout(refresh, 2000);
