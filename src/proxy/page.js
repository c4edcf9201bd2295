'use strict';
// Buttons that copy, and a look now and then whether the page still holds. Nothing changes but what is no longer so.
(() => {
  const LONGEST = 5; // times the first pause is the longest between two looks
  const root = document.documentElement;
  const find = selector => document.querySelector(selector);
  const findAll = selector => [...document.querySelectorAll(selector)];

  // Whether it is copied; else it is selected at least.
  const copy = async (box, text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { // there is no clipboard for a page under a name that the browser does not know to be safe
      getSelection().selectAllChildren(box);
      return document.execCommand('copy');
    }
  };

  const addButtons = () => {
    for (const place of findAll('.copied')) {
      const [box, button] = [place.firstChild, document.createElement('button')];
      const name = (word, label) => { button.textContent = word; button.ariaLabel = label; };
      const text = box.textContent;
      button.type = 'button';
      name('Copy', `Copy ${text}`);
      button.addEventListener('click', async () => {
        if (!await copy(box, text)) return;
        name('Copied', 'Copied');
        setTimeout(name, 2000, 'Copy', `Copy ${text}`);
      });
      place.append(button);
      place.classList.add('ready');
    }
  };

  const focusable = () => findAll('main a, main button, main summary');

  const show = next => {
    const open = findAll('main details').map(details => details.open);
    const focused = focusable().indexOf(document.activeElement);
    for (const part of ['title', 'link', 'header', 'main']) {
      find(part).replaceWith(document.adoptNode(next.querySelector(part)));
    }
    root.dataset.state = next.documentElement.dataset.state;
    root.dataset.look = next.documentElement.dataset.look ?? '';
    findAll('main details').forEach((details, index) => { details.open = open[index] ?? false; });
    addButtons();
    focusable()[focused]?.focus();
  };

  addButtons();
  let [wait, timer, said, isLooking] = [0, 0, '', false];

  const say = words => {
    const line = find('.look');
    said ||= line.textContent;
    if (line.textContent !== words) line.textContent = words;
  };

  // `false` where nothing is left to look for.
  const look = async () => {
    const stop = new AbortController();
    const headers = { 'svcproxy-look': root.dataset.state };
    const request = { headers, cache: 'no-store', redirect: 'manual', signal: stop.signal };
    const answer = await fetch(location.href, request).catch(() => null);
    const state = answer?.headers.get('svcproxy-state');
    if (!answer) {
      say('No answer: kubectl svcproxy does not run any more.');
    } else if (!state) {
      stop.abort();
      location.reload();
      return false;
    } else if (state === root.dataset.state) {
      stop.abort();
      if (said) say(said);
    } else {
      show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
      [wait, said] = [0, ''];
    }
    return root.dataset.look !== '';
  };

  const again = () => {
    const first = root.dataset.look * 1000;
    wait = wait ? Math.min(wait * 1.5, first * LONGEST) : first;
    clearTimeout(timer);
    timer = setTimeout(lookAgain, wait);
  };

  const lookAgain = async () => {
    if (document.hidden || isLooking) return;
    isLooking = true;
    const goesOn = await look().catch(() => true);
    isLooking = false;
    if (goesOn) again();
  };

  if (!root.dataset.look) return;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    wait = 0;
    if (root.dataset.look && !document.hidden) lookAgain();
  });
  again();
})();
