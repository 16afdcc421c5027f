import { colorRules } from './colors.js';

/** How the page looks: in light and dark, on a wide screen, on a phone and on paper. */
export function style(): string {
  return `${TOKENS}\n${colorRules()}\n${BASE}\n${CHART}\n${TABLES}\n${NARROW}`;
}

const TOKENS = `
:root{color-scheme:light dark;
--page:#f3f4f6;--card:#fff;--ink:#15181d;--soft:#4d5561;--faint:#666e7a;--line:#e2e5e9;--rail:#f0f2f4;--hatch:#a6adb7;--tint:#f6f7f9;
--good:#0b6b43;--good-ground:#e0f3e9;--bad:#a3260f;--bad-ground:#fde8e3;--warn-ground:#fdf3d8;--warn-line:#e0b23c;--accent:#1a63bd;
--label:11.5rem;--radius:12px}
@media (prefers-color-scheme:dark){:root{
--page:#0e1114;--card:#171b20;--ink:#e9ecf0;--soft:#b0b8c3;--faint:#939ca8;--line:#2a3037;--rail:#1e2329;--hatch:#626b77;--tint:#1c2127;
--good:#6fd3a1;--good-ground:#12301f;--bad:#ff9f8a;--bad-ground:#3c1a13;--warn-ground:#332a10;--warn-line:#a07d22;--accent:#7db4f5}}
`;

const BASE = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main,header,footer{max-width:1240px;margin:0 auto;padding:0 28px}
header{padding-top:36px;padding-bottom:4px}
footer{padding-top:8px;padding-bottom:48px;color:var(--faint);font-size:13px}
h1,h2,h3,h4,p,ul,dl,dd{margin:0;padding:0}
h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;font-weight:680;overflow-wrap:anywhere}
h2{font-size:22px;line-height:1.25;letter-spacing:-.01em;margin:32px 0 14px;overflow-wrap:anywhere}
.card>h2:first-child{margin-top:0}
h3{font-size:17px;line-height:1.3;margin:0 0 10px}
*+h3{margin-top:26px}
h4{font-size:14px;margin:24px 0 8px;color:var(--soft);font-weight:650}
h3+h4,.pair h4{margin-top:0}
code{font:.92em/1.4 ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
a{color:var(--accent)}
.kicker{font-size:13px;color:var(--faint);letter-spacing:.02em;margin-bottom:6px}
.kicker b{color:var(--soft);font-weight:650}
.sub{color:var(--soft);margin-top:6px}
.lead{color:var(--soft);margin-bottom:14px;max-width:105ch}
.note{color:var(--faint);font-size:13px;margin-top:10px;max-width:110ch}
.note.warn{background:var(--warn-ground);border-left:3px solid var(--warn-line);color:var(--ink);padding:9px 13px;border-radius:6px;margin:0 0 14px}
.card{background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:22px 24px;margin:16px 0}
.findings{list-style:none}
.findings li{padding:5px 0 5px 20px;position:relative;max-width:115ch;overflow-wrap:anywhere}
.findings li::before{content:"";position:absolute;left:2px;top:14px;width:7px;height:7px;border-radius:2px;background:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:1px;background:var(--line);border:1px solid var(--line);border-radius:var(--radius);overflow:hidden;margin:18px 0 16px}
.tiles>div{background:var(--card);padding:14px 18px 13px}
.tiles dt{font-size:13px;color:var(--faint)}
.tiles b{display:block;font-size:23px;line-height:1.25;letter-spacing:-.02em;font-weight:660;white-space:nowrap}
.tiles span{display:block;font-size:12.5px;color:var(--soft);margin-top:2px}
details.sync{margin:16px 0}
details.sync>summary{cursor:pointer;list-style:none;background:var(--card);border:1px solid var(--line);border-radius:var(--radius);padding:14px 20px;display:flex;flex-wrap:wrap;gap:4px 16px;align-items:baseline}
details.sync>summary::-webkit-details-marker{display:none}
details.sync>summary::before{content:"▸";color:var(--faint);width:1em}
details.sync[open]>summary::before{content:"▾"}
details.sync>summary h2{margin:0;font-size:18px}
details.sync>summary span{color:var(--soft);font-size:13.5px;overflow-wrap:anywhere}
.anchor{display:block;scroll-margin-top:70px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
`;

const CHART = `
.swatch{display:inline-block;width:11px;height:11px;border-radius:3px;background-color:var(--c);margin-right:7px;vertical-align:-1px;flex:none}
.wait{background-image:repeating-linear-gradient(-45deg,var(--hatch) 0 1px,transparent 1px 4px)}
.w-idle.wait{background-image:none}
.w-idle.swatch{box-shadow:inset 0 0 0 1px var(--line)}
.legend{display:grid;gap:3px;margin-bottom:20px}
.legend-group{display:grid;grid-template-columns:var(--label) minmax(0,1fr);gap:14px;align-items:baseline}
.legend-group>b{font-size:13px;font-weight:600}
.legend ul{list-style:none;display:flex;flex-wrap:wrap;gap:2px 10px;color:var(--soft)}
.legend li{display:flex;align-items:center;font-size:13px;padding:1px 4px;margin-left:-4px;border-radius:5px;overflow-wrap:anywhere}
.legend li[role=button]{cursor:pointer}
.legend li[role=button]:hover,.legend li[aria-pressed=true]{background:var(--rail)}
.legend li[aria-pressed=true]{box-shadow:inset 0 0 0 1px var(--faint)}
.chart{position:relative;--gap:14px}
.row{display:grid;grid-template-columns:var(--label) minmax(0,1fr);gap:var(--gap);align-items:center;padding:2px 0}
.label{min-width:0;line-height:1.25}
.label b{display:block;font-size:13.5px;font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.label span{display:block;font-size:12px;color:var(--faint);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.track{position:relative;height:38px;background:var(--rail);border-radius:4px;overflow:hidden}
.busy{margin-bottom:6px}
.busy .track{height:74px}
.course .track{height:64px}
.life{position:absolute;top:0;bottom:0;min-width:2px;overflow:hidden}
.track svg{display:block;height:100%;width:100%}
.life svg{position:absolute;left:0;top:0;background:repeating-linear-gradient(-45deg,var(--hatch) 0 1px,transparent 1px 5px) var(--card)}
.chart path,.chart rect{fill:var(--c)}
.chart path.wait{fill-opacity:.55;background:none}
.chart path.w-idle,.chart path.bare{fill:var(--rail);fill-opacity:1!important}
.dim .life svg{background:var(--rail)}
.dim path{fill-opacity:.13!important;transition:fill-opacity .12s}
.dim path.lit{fill-opacity:1!important}
.most{position:absolute;left:6px;top:3px;font-size:11.5px;line-height:1;color:var(--soft);background:var(--rail);padding:2px 4px;border-radius:3px}
.end-head{display:flex;gap:10px;align-items:baseline;margin:16px 0 5px;padding-bottom:4px;border-bottom:1px solid var(--line)}
.end-head b{font-size:14px}.end-head span{font-size:13px;color:var(--faint)}
.axis{position:relative;height:20px;margin-left:calc(var(--label) + var(--gap));font-size:12px;color:var(--faint)}
.axis span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.axis.bottom{margin-top:4px}
.axis span.end{transform:translateX(-100%)}
.axis span:first-child{transform:none}
.grid,.cursor{position:absolute;top:20px;bottom:22px;pointer-events:none}
.grid{left:calc(var(--label) + var(--gap));right:0}
.grid i{position:absolute;top:0;bottom:0;width:1px;background:var(--ink);opacity:.1}
.cursor{width:1px;background:var(--ink);opacity:.65}
.tip{position:fixed;z-index:9;left:0;top:0;pointer-events:none;background:var(--card);color:var(--ink);border:1px solid var(--line);border-radius:9px;box-shadow:0 6px 24px rgb(0 0 0/.18);padding:9px 12px;font-size:13px;min-width:150px;max-width:min(330px,92vw)}
.tip b{display:block}.tip small{display:block;color:var(--faint);margin-bottom:4px;font-size:12px}
.tip div{display:flex;align-items:center;gap:0;white-space:nowrap}
.tip div span{overflow:hidden;text-overflow:ellipsis}
.tip div em{margin-left:auto;padding-left:18px;font-style:normal}
.bar{display:flex;height:16px;width:100%;background:var(--rail);border-radius:4px;overflow:hidden}
.bar i{display:block;height:100%;flex:none;background-color:var(--c)}
.bar i.total{background:var(--ink)}.bar i.faded{opacity:.45}
.split .bar{height:34px;border-radius:7px;gap:2px;background:none}
.split-legend{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:10px 24px;margin-top:12px}
.split-legend dt{font-size:13.5px}.split-legend dd{color:var(--soft);font-size:13.5px}
.split-legend dd b{font-size:20px;color:var(--ink);margin-right:6px;letter-spacing:-.01em}
.split-legend .meaning{font-size:12.5px;color:var(--faint)}
.cpu{height:4px;margin-top:3px;position:relative}
.cpu i{display:block;height:100%;background:var(--ink);border-radius:2px;opacity:.8}
.paired{display:grid;gap:14px;margin:6px 0 20px}
.pair-row{display:grid;grid-template-columns:17rem minmax(0,1fr);gap:6px 18px;align-items:center}
.pair-bars{display:grid;grid-template-columns:3.6rem minmax(0,1fr) 5rem;gap:3px 10px;align-items:center;font-size:13px}
.pair-bars .when{color:var(--faint)}
.pair-title{display:flex;justify-content:space-between;gap:10px;align-items:center}
.verdict{display:inline-block;border-radius:999px;padding:1px 10px;font-size:13px;background:var(--tint);color:var(--soft);white-space:nowrap}
.verdict.better{background:var(--good-ground);color:var(--good)}
.verdict.worse{background:var(--bad-ground);color:var(--bad)}
.verdict.neither{background:none;padding-left:0}
`;

const TABLES = `
table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{text-align:left;padding:6px 10px 6px 0;vertical-align:top;font-weight:400}
thead th{font-size:12px;color:var(--faint);font-weight:600;border-bottom:1px solid var(--line);vertical-align:bottom}
tbody tr{border-bottom:1px solid var(--line)}
tbody tr:last-child{border-bottom:0}
tbody th small b{font-weight:600;color:var(--soft)}
.n{text-align:right;white-space:nowrap}
th.n,td.n{padding-left:10px}
td:last-child,th:last-child{padding-right:0}
tbody th small{display:block;color:var(--faint);font-size:12.5px;line-height:1.4}
.phase-name small{margin-left:18px}
.changes code{overflow-wrap:anywhere}
.figures .meaning{padding-left:26px;color:var(--soft);width:46%}
.figures .group th{padding-top:18px;font-weight:650;color:var(--soft);font-size:13px}
.figures tbody:first-of-type .group th{padding-top:8px}
.zero{color:var(--faint)}
.share{width:20%;padding-left:14px}
th.wide,td.wide{padding-left:18px}
td.share{white-space:nowrap}
td.share span{display:inline-block;min-width:3.6em}
.meter{height:5px;background:var(--rail);border-radius:3px;margin-top:3px;overflow:hidden}
.meter i{display:block;height:100%;background-color:var(--c);border-radius:3px}
.threads td,.threads th{vertical-align:middle}
.threads .wide{width:52%}
.threads tbody tr{border-bottom:0}
.changes td:last-child,.changes th:last-child{padding-left:18px}
.changes td:last-child{width:1%}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:22px 44px}
details.more{margin-top:14px}
details.more>summary{cursor:pointer;font-weight:600;font-size:14px;color:var(--accent)}
details.more>table{margin-top:8px}
.overview .bar{height:12px;min-width:120px}
.overview th a{font-weight:600}
`;

const NARROW = `
@media (max-width:760px){
:root{--label:0rem}
body{font-size:15px}
main,header,footer{padding-left:14px;padding-right:14px}
header{padding-top:22px}
h1{font-size:25px}
.card{padding:16px 14px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}
.tiles>div{padding:11px 13px}
.tiles b{font-size:20px}
.tiles>div:last-child:nth-child(odd){grid-column:1/-1}
.legend-group{grid-template-columns:1fr;gap:0}
.legend-group+.legend-group{margin-top:5px}
.chart{--gap:0px}
.row{display:block;padding:4px 0}
.label{display:flex;justify-content:space-between;gap:10px;align-items:baseline;margin-bottom:2px}
.axis span.odd{display:none}
.grid{display:none}
.split-legend{grid-template-columns:1fr}
.pair-row{grid-template-columns:1fr}
.pair-bars{grid-template-columns:3.2rem minmax(0,1fr) 4.4rem}
thead{display:none}
table,tbody,tr,th,td{display:block;width:auto!important}
tbody tr{display:flex;flex-wrap:wrap;gap:1px 14px;padding:9px 0}
.threads tbody tr{gap:1px 9px}.threads td.n{font-size:12.5px}
tbody th,tbody td{padding:0!important}
tbody th[scope],td.wide,td.meaning,td.share{flex:1 0 100%}
.figures .group th{padding-top:14px!important}
td[data-name]::before{content:attr(data-name) " ";color:var(--faint);font-size:12px}
td.share::before{display:none}
.overview td.wide{order:9}
}
@media print{body{background:#fff}.card,.tiles{break-inside:avoid}details.sync:not([open]){display:none}}
`;
