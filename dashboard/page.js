// What Streamlit leaves to us, wherever it draws: its previews of text scroll, but no key reaches them, so each becomes
// a place that Tab stops at; its toasts are named by an element that is not there, which their text becomes; and a
// refusal in a popover or a dialog may stand below what is seen of it, so it is brought into view as it appears.
window.mixdeskWatch ??= new MutationObserver((changes) => {
  for (const text of document.querySelectorAll('[data-testid="stCode"] pre:not([tabindex])')) {
    text.tabIndex = 0;
    text.setAttribute("role", "group");
    text.setAttribute("aria-label", "Text preview");
  }
  for (const toast of document.querySelectorAll('[data-testid="stToast"][aria-labelledby]')) {
    const name = toast.getAttribute("aria-labelledby"), text = toast.querySelector('[data-testid="stToastText"]');
    if (text && !document.getElementById(name)) text.id = name;
  }
  const layer = '[data-testid="stPopoverBody"], [role="dialog"]', refusal = '[data-testid="stAlertContentError"]';
  for (const added of changes.flatMap((change) => [...change.addedNodes])) {
    const told = added instanceof Element && added.closest(layer) && (added.matches(refusal) ? added : added.querySelector(refusal));
    if (told) requestAnimationFrame(() => told.scrollIntoView({ block: "nearest" }));
  }
});
window.mixdeskWatch.observe(document.body, { childList: true, subtree: true });
