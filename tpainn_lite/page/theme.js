// Light or dark, as the notebook or the page around says, or the reader's system.

/** `use("light" or "dark")` now and at each change; gives the function that ends it. */
function followTheme(use) {
    const system = matchMedia("(prefers-color-scheme: dark)"), { body, documentElement: page } = document;
    const follow = () => {
        const lab = { true: "light", false: "dark" }[body.dataset.jpThemeLight];
        const code = /vscode-(dark|light)/.exec(body.className)?.[1];
        const names = [lab, page.dataset.theme, page.getAttribute("theme"), code];
        const said = names.find((name) => name === "light" || name === "dark");
        use(said ?? (system.matches ? "dark" : "light"));
    };
    follow();
    system.addEventListener("change", follow);
    const observer = new MutationObserver(follow);
    const attributeFilter = ["data-jp-theme-light", "data-theme", "theme", "class"];
    for (const part of [body, page]) observer.observe(part, { attributes: true, attributeFilter });
    return () => { system.removeEventListener("change", follow); observer.disconnect(); };
}
