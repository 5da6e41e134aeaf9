// Counts page views: <script defer src="https://HOST/t/track.js" data-site="KEY"></script>
// No cookie, no storage, nothing for visitors who ask not to be tracked.
(() => {
  "use strict";
  const script = document.currentScript;
  const site = script && script.dataset.site;
  if (!site || navigator.doNotTrack === "1" || navigator.globalPrivacyControl) return;

  const endpoint = new URL("event", script.src).href;
  let reported = null;

  function report() {
    const path = location.pathname;
    if (path === reported) return;
    const referrer = reported === null ? document.referrer : location.href;
    reported = path;
    // Set by the page: data-consent="given".
    const consent = script.dataset.consent === "given" || undefined;
    const body = JSON.stringify({ site, path, referrer, consent, id: crypto.randomUUID ? crypto.randomUUID() : undefined });
    // Plain text needs no preflight request.
    if (navigator.sendBeacon && navigator.sendBeacon(endpoint, new Blob([body], { type: "text/plain" }))) return;
    fetch(endpoint, { method: "POST", body, keepalive: true, mode: "no-cors", credentials: "omit" }).catch(() => {});
  }

  // Pages that change their address without loading count as well.
  const push = history.pushState;
  history.pushState = function (...args) {
    push.apply(this, args);
    report();
  };
  addEventListener("popstate", report);
  if (document.visibilityState === "hidden") addEventListener("visibilitychange", report, { once: true });
  else report();
})();
