// Texts that would run, load or leave the page if anything took them for more than text.
export const hostileTexts = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `'><svg onload=alert(1)>`,
  `<svg><animate onbegin=alert(1) attributeName=x dur=1s>`,
  `<iframe srcdoc="<script>parent.alert(1)</script>">`,
  `<body onload=alert(1)>`,
  `<details open ontoggle=alert(1)>`,
  `<a href="javascript:alert(1)">here</a>`,
  `javascript:alert(document.domain)`,
  `data:text/html,<script>alert(1)</script>`,
  `<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
  `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
  `{{constructor.constructor('alert(1)')()}}`,
  '$' + '{alert(1)}`;alert(1)//',
  `</title><script>alert(1)</script>`,
  `</textarea><script>alert(1)</script>`,
  `]]><script>alert(1)</script>`,
  `<link rel=stylesheet href=//evil.example/x.css>`,
  `<meta http-equiv=refresh content="0;url=//evil.example">`,
  `<base href=//evil.example/>`,
  `" autofocus onfocus=alert(1) x="`,
  `مرحبا <img src=x onerror=alert(1)>`,
  `<input type=image src onerror=alert(1)>`,
  `&lt;script&gt;alert(1)&lt;/script&gt;`,
];

/** What a page would hold if one of them had been taken for markup. */
export const planted =
  'img[src=x], img:not([src]), svg[onload], svg animate, iframe, details[ontoggle], base, meta[http-equiv], mglyph, ' +
  'script:not([src]), a[href^="javascript:"], a[href^="data:"], link[href*="evil"], [onerror], [onfocus], [onload]';
