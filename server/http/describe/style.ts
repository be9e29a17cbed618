/** Of the pages that the hub serves itself. The browser lets in nothing but this: see the pages' policy. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2128; --soft: #59636e; --line: #d8dee4; --page: #fff; --shade: #f6f8fa; --link: #0a5bc4;
  --get: #0a6b3d; --post: #0a5bc4; --patch: #8a4b00; --delete: #b3261e; --receive: #0a5bc4; --send: #6b3fa0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d; --page: #0d1117; --shade: #161b22; --link: #6cb0ff;
  --get: #4cc38a; --post: #6cb0ff; --patch: #e3a05a; --delete: #ff8a80; --receive: #6cb0ff; --send: #c3a1f5; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: var(--page); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
code, pre, .name { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .86em; }
code { background: var(--shade); border-radius: 4px; padding: .1em .3em; overflow-wrap: anywhere; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0 1rem; padding: .7rem .9rem; overflow-x: auto; line-height: 1.45; }
pre code { background: none; padding: 0; overflow-wrap: normal; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h4 { font-size: .8rem; margin: 1.1rem 0 .3rem; color: var(--soft); text-transform: uppercase; letter-spacing: .04em; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.page { display: grid; grid-template-columns: 17.5rem minmax(0, 1fr); max-width: 78rem; margin: 0 auto; }
nav { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 3rem 1.25rem; border-right: 1px solid var(--line); font-size: .88rem; }
nav ul { list-style: none; margin: 0 0 .8rem; padding: 0; }
nav li a { display: flex; gap: .5rem; align-items: baseline; padding: .12rem 0; color: var(--ink); overflow-wrap: anywhere; }
nav summary { cursor: pointer; font-weight: 600; margin: .5rem 0 .2rem; }
nav .verb { font-size: .62rem; width: 3.4rem; flex: none; }
main { padding: 1.5rem 2rem 6rem; min-width: 0; }
.verb { font: 700 .72rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; text-transform: uppercase; letter-spacing: .02em; }
.get { color: var(--get); } .post { color: var(--post); } .patch { color: var(--patch); } .delete { color: var(--delete); }
.receive { color: var(--receive); } .send { color: var(--send); }
section.one { border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem .6rem; margin: 1rem 0; }
section.one:target { border-color: var(--link); box-shadow: 0 0 0 1px var(--link); }
.who { color: var(--soft); font-size: .88rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .2rem 0 .8rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; font-size: .8rem; }
td:first-child { white-space: nowrap; }
td .soft { font-size: .82em; margin-left: .2rem; }
.must::after { content: " *"; color: var(--delete); }
.home { max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem; }
.home dt { font-weight: 600; margin-top: .9rem; } .home dd { margin: 0; color: var(--soft); }
@media (max-width: 52rem) {
  .page { display: block; }
  nav { position: static; max-height: 45vh; border-right: 0; border-bottom: 1px solid var(--line); padding: 1rem; }
  nav li a { padding: .3rem 0; }
  main { padding: 1rem 1rem 4rem; }
  section.one { padding: .8rem .9rem .4rem; }
  td:first-child { white-space: normal; }
}
@media print { nav { display: none; } .page { display: block; } }
`;
