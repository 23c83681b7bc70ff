// Keeps the page at a text that grows: its beginning first, then its end, until the reader scrolls up.

const ABOVE = 12, BELOW = 56; // pixels that are left free; what comes after the text shows its edge
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Follows one text after another down the page. */
export class Follower {
  #bar;
  #text = null; // the element that grows
  #following = true;
  #target = 0; // where the page was last sent
  #last = scrollY;
  #due = false;
  #listening = new AbortController();

  /** @param bar what lies over the top of the page. */
  constructor(bar) {
    this.#bar = bar;
    const { signal } = this.#listening;
    addEventListener("scroll", () => this.#scrolled(), { signal, passive: true });
    addEventListener("wheel", ({ deltaY }) => {
      if (deltaY < 0 && scrollY > 0) this.#following = false; // before the next token scrolls back
    }, { signal, passive: true });
  }

  /** Brings the beginning of a text into view. */
  begin(text) {
    this.#text = text;
    if (!this.#following) return;
    this.#send(scrollY + text.getBoundingClientRect().top - this.#bar.offsetHeight - ABOVE);
  }

  /** Brings the end into view, once a frame. */
  follow() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      const below = this.#text.getBoundingClientRect().bottom + BELOW - innerHeight;
      // Not back from where it is still on its way to.
      if (this.#following && below > 0) this.#send(Math.max(scrollY + below, this.#target));
    });
  }

  /** Leaves the page to the reader. */
  end() {
    this.#listening.abort();
  }

  #send(top) {
    const { scrollHeight } = document.documentElement;
    this.#target = Math.max(0, Math.min(top, scrollHeight - innerHeight));
    scrollTo({ top: this.#target, behavior: calm.matches ? "instant" : "smooth" });
  }

  #scrolled() {
    if (scrollY < Math.min(this.#last, this.#target) - 1) this.#following = false;
    else if (scrollY > this.#last && this.#text?.getBoundingClientRect().bottom <= innerHeight) {
      this.#following = true; // the reader is back at the end
    }
    this.#last = scrollY;
  }
}
