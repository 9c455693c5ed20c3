"""How the page looks, by day and by night, on a desk and on a telephone."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1f2328; --muted: #656d76; --line: #dde1e6;
  --accent: #0a58ca; --bad: #c0272d; --good: #1a7f37; --warn: #7a4d00; --warn-back: #fff6e0;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #b8558f; --s4: #a66f00; --s5: #2f7fb0;
  --s6: #57606a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --card: #181d24; --ink: #e4e8ed; --muted: #99a3ae; --line: #2f3742;
    --accent: #6cabff; --bad: #ff7b72; --good: #56d364; --warn: #f0c35b; --warn-back: #2b2413;
    --s0: #58b0f0; --s1: #ff9350; --s2: #35c998; --s3: #e59ccb; --s4: #f0b73a; --s5: #8fd0f5;
    --s6: #b6c0ca;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px; }
h2 em { font-style: normal; color: var(--accent); }
h3 { font-size: 16px; margin: 24px 0 4px; }
h4 { font-size: 14px; margin: 0 0 4px; }
p { margin: 0; }
.sub, .note, small, figcaption { color: var(--muted); }
.note { font-size: 14px; margin-bottom: 12px; max-width: 92ch; }
h2 + .verdict { margin-top: 12px; }
section { margin-top: 44px; }
header + section { margin-top: 24px; }
.verdict {
  background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--accent);
  border-radius: 8px; padding: 14px 18px;
}
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 16px;
  margin-top: 16px; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; }
.tile-head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 8px; }
.tile p { color: var(--muted); font-size: 14px; line-height: 1.4; margin-top: 8px; }
.tag { color: var(--muted); font-size: 13px; }
.big { font-size: 26px; line-height: 1.3; margin: 8px 0; white-space: nowrap; }
.big .before, .big .arrow { color: var(--muted); font-weight: 400; }
.big .after { font-weight: 700; }
.bar { display: block; height: 5px; border-radius: 3px; background: var(--line);
  overflow: hidden; }
.bar span { display: block; height: 100%; background: var(--accent); }
.cautions { margin: 16px 0 0; padding: 12px 18px 12px 36px; border-radius: 8px; font-size: 15px;
  color: var(--warn); background: var(--warn-back); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
th, td { padding: 8px 14px; text-align: right; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
th[scope="row"], thead tr:first-child th:first-child { text-align: left; }
th { font-weight: 500; }
thead th { color: var(--muted); font-size: 13px; vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 0; }
.recall thead th[colspan] { text-align: center; color: var(--ink); font-size: 14px;
  border-bottom: 0; padding-bottom: 0; }
.recall tbody th { overflow-wrap: anywhere; min-width: 130px; }
.recall th small { display: block; }
.recall td[data-label="R@1"] { font-weight: 700; }
.recall .clean { color: var(--muted); }
.recall .apart th { color: var(--muted); font-size: 13px; text-align: left; padding-top: 18px; }
.recall .none { text-align: center; color: var(--muted); }
.recall .which { display: none; }
.recall .kept { min-width: 92px; }
.recall .bar { margin-top: 2px; }
.share { display: inline-block; min-width: 80px; }
.scroll td:nth-child(2) { white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 16px; margin-top: 12px; }
.charts figure { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 14px 16px; max-width: 620px; }
.charts figcaption { color: var(--ink); font-size: 15px; font-weight: 500; }
.charts figcaption small { display: block; font-weight: 400; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg text { font-size: 13px; fill: var(--muted); }
svg .grid { stroke: var(--line); }
svg .label { font-weight: 600; }
svg polyline { fill: none; stroke: currentColor; stroke-width: 2.5; stroke-linejoin: round; }
svg circle { fill: currentColor; stroke: var(--card); stroke-width: 1.5; }
svg .s0 { color: var(--s0); } svg .s1 { color: var(--s1); } svg .s2 { color: var(--s2); }
svg .s3 { color: var(--s3); } svg .s4 { color: var(--s4); } svg .s5 { color: var(--s5); }
svg .s6 { color: var(--s6); }
svg text.label { fill: currentColor; }
.checks { list-style: none; margin: 0; padding: 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; }
.checks li { display: grid; grid-template-columns: 68px 1fr auto; gap: 2px 12px;
  padding: 12px 18px; border-bottom: 1px solid var(--line); align-items: center; }
.checks li:last-child { border-bottom: 0; }
.checks strong { font-weight: 500; }
.checks p { grid-column: 2 / -1; color: var(--muted); font-size: 14px; }
.checks .figure { color: var(--muted); }
.badge { font-size: 13px; font-weight: 600; text-align: center; border-radius: 12px;
  border: 1px solid currentColor; line-height: 1.5; }
.badge.pass { color: var(--good); }
.badge.caution { color: var(--warn); }
.badge.fail { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr));
  gap: 16px; }
.card .rank { color: var(--muted); font-size: 18px; margin-bottom: 10px; }
.card .rank strong { color: var(--bad); font-size: 22px; }
.pictures { display: flex; gap: 10px; }
.pictures figure { margin: 0; flex: 1 1 0; max-width: 150px; min-width: 0; }
.pictures img { display: block; width: 100%; border-radius: 4px; border: 1px solid var(--line);
  background: #fff; }
.pictures figcaption { font-size: 13px; line-height: 1.3; margin-top: 4px; }
.labelled { margin-top: 10px; line-height: 1.4; }
.labelled small { display: block; font-size: 13px; }
.card .labelled + .pictures { margin-top: 12px; }
del { color: var(--muted); text-decoration-thickness: 2px; }
ins { color: var(--bad); font-weight: 700; text-decoration-thickness: 2px; }
details { margin-top: 16px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 14px 18px; }
section + details { margin-top: 44px; }
details + details { margin-top: 12px; }
summary { cursor: pointer; font-weight: 600; }
details > :not(summary) { margin-top: 12px; }
.settings { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr));
  gap: 24px 32px; align-items: start; }
.settings > div { min-width: 0; }
.settings th, .settings td { font-size: 13px; padding: 4px 0; vertical-align: top;
  overflow-wrap: anywhere; }
.settings th { color: var(--muted); padding-right: 12px; }
.settings .group { color: var(--ink); text-align: left; padding-top: 10px; }
@media (max-width: 640px) {
  main { padding: 24px 14px 48px; }
  h1 { font-size: 25px; }
  section { margin-top: 36px; }
  .recall, .recall tbody { display: block; }
  .recall thead { display: none; }
  .recall tr { display: grid; grid-template-columns: 2.2fr 1fr 1fr 1fr 1.5fr; padding: 10px 14px;
    border-bottom: 1px solid var(--line); column-gap: 8px; }
  .recall tbody tr:last-child { border-bottom: 0; }
  .recall th, .recall td { border: 0; padding: 2px 0; font-size: 14px; }
  .recall th[scope="row"] { grid-column: 1 / -1; font-weight: 600; font-size: 15px; }
  .recall td[data-label]::before { content: attr(data-label); display: block; font-size: 12px;
    line-height: 1.2; color: var(--muted); font-weight: 400; }
  .recall .apart th { grid-column: 1 / -1; }
  .recall .which { display: block; text-align: left; align-self: end; white-space: nowrap;
    color: var(--muted); }
  .recall .kept { min-width: 0; }
  .recall .kept .bar { display: none; }
  .recall .clean .kept { visibility: hidden; }
  .recall .none { display: none; }
  th, td { padding: 8px 10px; }
  .stages th, .stages td { padding: 8px 5px; font-size: 13px; }
  .stages td:nth-child(4) { white-space: nowrap; }
  .stages th:first-child { padding-left: 14px; }
  .stages td:last-child { padding-right: 14px; }
  .share { min-width: 46px; }
}
"""
