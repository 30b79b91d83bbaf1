#include "trainer/report/page.h"

namespace foresight {
namespace {

// Policies: blue and vermilion stay apart under every common colour blindness, and are kept for the scorers.
// The rules' hues are told apart by their markers and labels too.
constexpr const char* kColours = R"css(
:root{color-scheme:light dark;--ground:#fff;--panel:#f6f7f9;--ink:#1b1f27;--soft:#586172;--line:#dde1e8;
--accent:#0b62a8;--on-accent:#fff;--kept:11,98,168;
--full:#6b7482;--golden:#1b1f27;--supervised:#0b6fb8;--grpo:#cf4f00;--rkv:#a8508c;--snapkv:#2f8fb5;--h2o:#8a6a12;
--vase:#a03a3a;--tova:#6a58b8;--keydiff:#5f7a1e;--streaming:#0a8a68;--random:#717885;--other:#b8336a;
--h0:#08457a;--h1:#1f6aa8;--h2:#4a8fc6;--h3:#86b4dc;--h4:#bcd5ec;--h5:#f3cfa8;--h6:#d9843a;--hx:#e3e5e9}
@media (prefers-color-scheme:dark){:root{--ground:#12151b;--panel:#1a1e26;--ink:#e7eaf0;--soft:#9ea8b8;--line:#2c323d;
--accent:#6bb5f0;--on-accent:#0d1117;--kept:84,160,226;
--full:#8f99a8;--golden:#f0f2f6;--supervised:#58b0f2;--grpo:#ff8b4a;--rkv:#d98cc2;--snapkv:#6cc3e2;--h2o:#c9a545;
--vase:#f08f86;--tova:#a898ee;--keydiff:#a3bd5c;--streaming:#3fc39c;--random:#8b93a1;--other:#f277a6;
--h0:#d6e9fb;--h1:#a9cff2;--h2:#76afe3;--h3:#4a8ac4;--h4:#2f608f;--h5:#8a5a2b;--h6:#d08040;--hx:#2c323d}}
.p-full{--c:var(--full)}.p-golden{--c:var(--golden)}.p-supervised{--c:var(--supervised)}.p-grpo{--c:var(--grpo)}
.p-rkv{--c:var(--rkv)}.p-snapkv{--c:var(--snapkv)}.p-h2o{--c:var(--h2o)}.p-tova{--c:var(--tova)}
.p-vase{--c:var(--vase)}
.r0{--c:var(--supervised)}.r1{--c:var(--grpo)}.r2{--c:var(--streaming)}.r3{--c:var(--rkv)}.r4{--c:var(--h2o)}
.r5{--c:var(--tova)}.r6{--c:var(--snapkv)}.r7{--c:var(--other)}.r8{--c:var(--keydiff)}.r9{--c:var(--full)}
.p-keydiff{--c:var(--keydiff)}.p-streaming{--c:var(--streaming)}.p-random{--c:var(--random)}.p-other{--c:var(--other)}
)css";

constexpr const char* kText = R"css(
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1180px;padding:28px 20px 56px;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 10px;letter-spacing:-.01em}
h2{font-size:1.22rem;line-height:1.3;margin:0 0 12px;padding-top:22px;border-top:1px solid var(--line)}
h3{font-size:.95rem;margin:0 0 6px;font-weight:600}
h3.stage{margin:14px 0 8px;font-size:1.02rem}
section{margin:30px 0 0;min-width:0}
.facts{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0;color:var(--soft);font-size:.9rem}
.facts span,.facts b{min-width:0;overflow-wrap:anywhere}
.facts b{color:var(--ink);font-weight:600}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:16px 0 0;font-size:.88rem}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.note,figcaption{color:var(--soft);font-size:.88rem;margin:8px 0 12px;max-width:80ch}
.sentences{margin:14px 0 4px;padding:0;list-style:none}.sentences li{margin:4px 0}
details{margin:10px 0}summary{cursor:pointer;color:var(--accent);font-size:.9rem}
pre{background:var(--panel);padding:12px 14px;border-radius:6px;overflow-x:auto;font-size:.82rem;line-height:1.45}
footer{margin-top:40px;padding-top:16px;border-top:1px solid var(--line);color:var(--soft);font-size:.88rem}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.89rem;min-width:100%}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
th,td{padding:6px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{font-weight:600;color:var(--soft);font-size:.82rem;vertical-align:bottom;white-space:normal;min-width:76px;
line-height:1.3;border-bottom:2px solid var(--line)}
tbody th{font-weight:400}
th:first-child{text-align:left;position:sticky;left:0;background:var(--ground);padding-left:2px;z-index:1}
tr.scorer th,tr.scorer td{font-weight:650;background:var(--panel)}
.words td,.words th{text-align:left}
.words td{white-space:normal;min-width:13ch}
.words.values td{overflow-wrap:anywhere;min-width:15ch;max-width:44ch;vertical-align:top}
.of-runs th:first-child{min-width:118px;max-width:38vw;white-space:normal;line-height:1.35}
.of-runs th span{display:block;font-size:.82rem;font-weight:400;color:var(--soft);overflow-wrap:anywhere}
.of-runs .scorer .line{stroke-width:1.8}
td small{color:var(--soft);font-weight:400}
.key{width:22px;height:12px;margin-right:8px;vertical-align:-1px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0}
.cards div{background:var(--panel);border-radius:6px;padding:10px 14px}
.cards dt{color:var(--soft);font-size:.84rem}.cards dd{margin:2px 0 0;font-size:1.15rem;font-weight:600;
font-variant-numeric:tabular-nums}
)css";

constexpr const char* kPictureStyle = R"css(
figure{margin:0;min-width:0}
figure.wide{max-width:860px}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:22px 28px}
.grid3{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:22px 28px}
svg.plot{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--soft);
font-variant-numeric:tabular-nums}
.wide svg text{font-size:8.5px}.heat text{font-size:7.5px}.heat{max-width:860px}
.grid line{stroke:var(--line);vector-effect:non-scaling-stroke}
.grid .axis,.grid .tick{stroke:var(--soft)}
.line{fill:none;stroke:var(--c);stroke-width:1.3;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.marker{fill:var(--ground);stroke:var(--c);stroke-width:1.3;vector-effect:non-scaling-stroke}
.scorer .line,.scorer.key .line{stroke-width:2.8}
.scorer .marker{fill:var(--c)}
.dashed .line{stroke-width:1.7;stroke-dasharray:6 4}
.labels text{fill:var(--c)}.labels .scorer text{font-weight:700}
.leader{fill:none;stroke:var(--c);stroke-width:1;opacity:.45;vector-effect:non-scaling-stroke}
.hover{fill:none;stroke:var(--ink);stroke-width:1.5;vector-effect:non-scaling-stroke;pointer-events:none}
.h0{--h:var(--h0)}.h1{--h:var(--h1)}.h2{--h:var(--h2)}.h3{--h:var(--h3)}.h4{--h:var(--h4)}.h5{--h:var(--h5)}
.h6{--h:var(--h6)}.hx{--h:var(--hx)}
.heat rect{fill:var(--h);stroke:var(--ground);stroke-width:1;vector-effect:non-scaling-stroke}
.key-row{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.84rem;color:var(--soft);margin:10px 0}
.key-row i{display:inline-block;width:16px;height:16px;border-radius:3px;margin-right:6px;vertical-align:-3px;
background:var(--h,rgba(var(--kept),var(--k)));border:1px solid var(--line)}
.choice{position:relative;display:flex;flex-wrap:wrap;gap:6px;margin:10px 0}
.choice>input{position:absolute;opacity:0;pointer-events:none}
.choice>label{padding:3px 11px;border:1px solid var(--line);border-radius:999px;cursor:pointer;font-size:.86rem}
.choice>input:checked+label{background:var(--accent);color:var(--on-accent);border-color:var(--accent)}
.choice>input:focus-visible+label{outline:2px solid var(--accent);outline-offset:2px}
.panel{display:none;order:1;width:100%;min-width:0;margin-top:8px}
.choice>input:checked+label+.panel{display:block}
.tokens{background:var(--panel);border-radius:6px;padding:14px 16px;white-space:pre-wrap;overflow-wrap:anywhere;
font:.84rem/1.75 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;max-height:560px;overflow-y:auto}
.tokens span{background:rgba(var(--kept),var(--k));border-radius:2px}
.k0{--k:0}.k1{--k:.05}.k2{--k:.1}.k3{--k:.15}.k4{--k:.2}.k5{--k:.26}.k6{--k:.32}.k7{--k:.38}.k8{--k:.44}.k9{--k:.5}
.k10{--k:.56}
.tokens .kx{background:none;text-decoration:underline dotted}
.tokens .k0{color:var(--soft)}
.tip{position:fixed;z-index:9;pointer-events:none;background:var(--ink);color:var(--ground);padding:5px 9px;
border-radius:5px;font-size:.8rem;line-height:1.4;white-space:pre-line;max-width:240px}
.tip[hidden]{display:none}
@media (max-width:640px){body{padding:18px 16px 40px}h1{font-size:1.4rem}
svg text,.wide svg text{font-size:14px}.heat text{font-size:13px}.grid3 svg text{font-size:13px}
th,td{padding:6px 9px}}
@media print{.choice,.panel{display:block}.tokens{max-height:none}}
)css";

}  // namespace

std::string page_style() {
  return std::string(kColours) + kText + kPictureStyle;
}

}  // namespace foresight
