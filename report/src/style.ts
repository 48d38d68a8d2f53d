/** The style sheet of the report. Colours are variables, one set for light and one for dark. */
export const STYLE = `
:root{color-scheme:light dark;--page:#fbfaf7;--ink:#1c1f23;--muted:#5a5f66;--grid:#e6e3da;--axis:#a9a69d;--tint:#f2f0e9;--link:#1f5fd6;--bad:#a3230d;
--hue0:#181b20;--hue1:#2366ed;--hue2:#926e0e;--hue3:#024f10;--hue4:#4e0080;--hue5:#da0496;--hue6:#007f86;--hue7:#b3390d}
@media screen and (prefers-color-scheme:dark){:root{--page:#15171a;--ink:#e6e8ea;--muted:#a2a8af;--grid:#2b2f34;--axis:#656b72;--tint:#1d2024;--link:#8fb0ff;--bad:#ff9b86;
--hue0:#e9eff5;--hue1:#99b1fb;--hue2:#faac53;--hue3:#15988b;--hue4:#b254f1;--hue5:#f3431c;--hue6:#8fd14f;--hue7:#ff8fc7}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 -apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Liberation Sans",sans-serif;overflow-wrap:break-word}
.page{max-width:1160px;margin:0 auto;padding:0 32px}
h1,h2{font-family:"Iowan Old Style","Palatino Linotype",Palatino,Charter,Georgia,"Liberation Serif",serif;font-weight:600;letter-spacing:-.005em;text-wrap:balance}
h1{font-size:clamp(1.6rem,1.1rem + 2vw,2.35rem);line-height:1.2;max-width:27em;margin:.5rem 0 .9rem;overflow-wrap:anywhere}
h2{font-size:1.4rem;line-height:1.25;margin:0 0 .8rem}
h3{font-size:1rem;line-height:1.3;margin:1.8rem 0 .5rem}
header{padding:44px 0 8px}
.eyebrow{margin:0;font-size:.8125rem;letter-spacing:.04em;color:var(--muted)}
.deck{margin:0;color:var(--muted);max-width:68ch;overflow-wrap:anywhere}
.findings{margin:1.1rem 0 0;padding:0 0 0 1.1em;max-width:72ch}
.findings li{margin:.3rem 0;padding-left:.2em}
.findings li::marker{color:var(--axis)}
.stopped{margin:1.1rem 0 0;padding:.6rem .9rem;border-left:3px solid var(--bad);background:var(--tint);max-width:72ch}
.warnings{margin:1.1rem 0 0;padding:.6rem .9rem;border-left:3px solid var(--bad);background:var(--tint);max-width:72ch;overflow-wrap:anywhere}
.warnings p{margin:0;font-weight:600}
.warnings ul{margin:.2rem 0 0;padding:0 0 0 1.1em}
.warnings li{margin:.2rem 0}
section{padding:34px 0 10px}
small{font-size:.8125rem;color:var(--muted)}
.note{font-size:.8125rem;line-height:1.45;color:var(--muted);margin:.35rem 0 0}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{caption-side:bottom;text-align:left;font-size:.8125rem;color:var(--muted);padding-top:.6rem}
th,td{text-align:left;vertical-align:top;padding:.5rem 1.1rem .5rem 0;font-weight:400}
thead th{font-size:.8125rem;line-height:1.35;font-weight:600;vertical-align:bottom;border-bottom:1px solid var(--axis)}
thead small,td small{display:block;font-weight:400}
tbody tr+tr>*{border-top:1px solid var(--grid)}
tbody th{font-weight:600;white-space:nowrap}
.guess>*{color:var(--muted)}
.guess th{font-weight:400}
summary{cursor:pointer;width:fit-content}
summary:hover{color:var(--ink)}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--link);outline-offset:2px}
details{margin:.35rem 0 0;font-size:.8125rem;color:var(--muted)}
details[open]>summary{margin-bottom:.4rem}
.scroll{overflow-x:auto;max-width:100%;color:var(--ink);container-type:inline-size}
.plain{width:auto;font-size:.8125rem;line-height:1.4}
.plain caption{caption-side:top;padding:0 0 .3rem;max-width:100cqw;overflow-wrap:anywhere}
.plain :is(th,td){padding:.2rem 1rem .2rem 0;white-space:nowrap}
.plain thead th{font-size:inherit}
.plain tbody th{font-weight:400;color:var(--muted)}
.plain tr>th:first-child{position:sticky;left:0;background:var(--page)}
#data .plain td:last-child{white-space:normal;overflow-wrap:anywhere;min-width:12em}
.swatch{vertical-align:.05em;margin-right:.5rem;overflow:visible}
td em{font-style:normal;font-size:.75rem;font-weight:600;color:var(--page);background:var(--ink);border-radius:3px;padding:.08em .4em;margin-left:.25rem;white-space:nowrap;vertical-align:.08em}
.bad .value{color:var(--bad);font-weight:700}
.switches{position:sticky;top:0;z-index:1;margin:18px 0 0;border-bottom:1px solid var(--grid);background:var(--page);max-height:30vh;overflow-y:auto}
.switches fieldset{margin:0;padding:9px 0;border:0;display:flex;flex-wrap:wrap;align-items:center;gap:6px 10px;min-width:0}
.switches button{min-height:32px;padding:0 12px;border:0;border-radius:16px;background:var(--tint);color:inherit;font:inherit;font-size:.875rem;cursor:pointer}
.switches button:hover{box-shadow:inset 0 0 0 1px var(--axis)}
.switches button:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.switches legend{float:left;padding:0;margin-right:4px;font-size:.875rem;color:var(--muted)}
.switches label{display:inline-flex;align-items:center;gap:7px;min-height:32px;padding:0 12px 0 9px;border:1px solid var(--axis);border-radius:16px;font-size:.875rem;cursor:pointer;user-select:none}
.switches label:hover{border-color:var(--ink)}
.switches label:focus-within{outline:2px solid var(--link);outline-offset:2px}
.switches input{margin:0;width:14px;height:14px;accent-color:var(--ink);cursor:pointer}
.switches label:has(input:not(:checked)){color:var(--muted);border-style:dashed}
.switches label:has(input:not(:checked)) .swatch{opacity:.3}
.switches .swatch{margin:0}
.beside{display:grid;grid-template-columns:264px minmax(0,1fr);gap:12px 40px}
.how{font-size:.9375rem;line-height:1.5;color:var(--ink)}
.how p{margin:0 0 .7rem;max-width:66ch}
.how.wide{columns:2;column-gap:40px;max-width:1000px}
.how.wide p{break-inside:avoid}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:22px 24px}
figure{margin:0;min-width:0;break-inside:avoid}
figcaption{font-size:.875rem;line-height:1.35;margin-bottom:6px}
figcaption span{color:var(--muted)}
figure>svg{display:block;width:100%;height:auto;max-width:400px;font-family:inherit;overflow:visible}
.tip rect{fill:none;pointer-events:all}
.tip g{visibility:hidden;pointer-events:none}
.tip g rect{fill:var(--page);fill-opacity:.94;stroke:var(--axis);pointer-events:none}
.tip text{font-size:11.5px;fill:var(--ink);font-variant-numeric:tabular-nums}
.tip:hover>rect{fill:var(--ink);fill-opacity:.07}
.tip:hover g{visibility:visible}
figure svg g[class^=s-]{transition:opacity .15s}
.panels+details{margin-bottom:34px}
.matrices{display:grid;margin-top:.8rem;grid-template-columns:repeat(auto-fill,minmax(min(var(--matrix),100%),1fr));gap:24px}
.confusion{border-collapse:separate;border-spacing:1px;font-size:.75rem}
.confusion :is(th,td){min-width:24px;height:24px;padding:0 3px;text-align:center;vertical-align:middle;border:0;font-weight:400;line-height:1.2}
.confusion tbody td{background:color-mix(in srgb,var(--hue7) calc(var(--s,0)*.5%),var(--tint))}
.confusion tbody td.right{background:color-mix(in srgb,var(--hue1) calc(var(--s,0)*.4%),var(--tint))}
.confusion tbody th{text-align:right;padding-right:6px;color:var(--ink)}
.confusion thead th{border:0;vertical-align:bottom;height:auto}
.turned thead th:not(.sum) span{writing-mode:vertical-rl;transform:rotate(180deg)}
.confusion tbody tr+tr>*{border:0}
.confusion tbody td.sum,.confusion thead td{background:none}
.confusion .sum{color:var(--muted);padding-left:6px}
.unseen{position:absolute;clip-path:inset(50%)}
.decisions{margin:0;padding:0 0 0 1.1em;max-width:80ch;font-size:.9375rem;color:var(--ink);overflow-wrap:anywhere}
.decisions li{margin:.3rem 0}
.decisions li::marker{color:var(--axis)}
.why{color:var(--muted)}
.decisions small{white-space:normal;margin-left:.3em}
.decisions code{font-size:.8125rem}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(var(--panel),calc(50% - 6px)),var(--panel)));gap:16px 12px;justify-content:start;align-items:end}
.panels .swatch{width:26px;display:inline}
.panel>svg{max-width:calc(var(--panel)*1.1)}
.scale{display:flex;flex-wrap:wrap;align-items:flex-start;gap:4px 16px;font-size:.875rem;line-height:20px;margin:.6rem 0 .1rem}
.scale>svg{font-family:inherit;max-width:100%;height:auto}
.absent{display:inline-flex;align-items:center;gap:7px}
.axes{font-size:.8125rem;color:var(--muted);margin:.2rem 0 1rem}
dl{margin:0;display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 40px}
dl div{display:grid;grid-template-columns:92px minmax(0,1fr);gap:12px;padding:.45rem 0;border-top:1px solid var(--grid)}
dt{color:var(--muted);font-size:.875rem;line-height:1.7}
dd{margin:0;overflow-wrap:anywhere}
pre{margin:0;padding:.8rem 1rem;background:var(--tint);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font:.875rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;user-select:all}
code span{display:inline-block;max-width:100%}
footer{padding:18px 0 48px;font-size:.8125rem;color:var(--muted)}
.defs{position:absolute;width:0;height:0}
@media (max-width:1080px){.beside{grid-template-columns:minmax(0,1fr)}.how p{max-width:72ch}}
@media screen and (max-width:760px){
.page{padding:0 16px}header{padding-top:26px}section{padding-top:28px}
.how.wide{columns:1}
dl{grid-template-columns:minmax(0,1fr)}
table:not(.plain){
&{display:flex;flex-direction:column}caption{order:1}tbody,caption{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tbody tr{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:8px 10px;padding:.75rem 0}
tbody tr+tr{border-top:1px solid var(--axis)}tbody tr+tr>*{border:0}
tbody th,td{padding:0;display:block;line-height:1.4}
.guess td:empty{display:none}
tbody th{font-size:1.0625rem;line-height:1.25;align-self:center;white-space:normal}
td em{margin:0}
td::before{content:attr(data-head);display:block;font-size:.75rem;line-height:1.35;color:var(--muted)}
}
.switches fieldset{gap:6px;padding:7px 0}.switches legend{position:absolute;clip-path:inset(50%)}
.switches label{flex:1 0 calc(33% - 6px);padding:0 6px;gap:6px;border-radius:8px}.switches label .swatch{width:20px}
}
@media (max-width:380px){.page{padding:0 10px}}
@media (prefers-reduced-motion:reduce){figure svg g[class^=s-]{transition:none}}
@media print{:root{--page:#fff}.switches,.tips{display:none}body{font-size:10.5pt}.page{max-width:none;padding:0}section{break-inside:auto}h2{break-after:avoid}}
`;
