// The search of a site that is opened from a disk.
//
// Browsers start no Worker from file:. This one runs its script in a hidden frame instead. The theme's
// search needs no more of a Worker than messages in both directions. The theme loads a file with this
// name from another host unless the site has one.

class FrameWorker extends EventTarget {
  constructor(address) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    const page = frame.contentDocument;
    page.open(); // otherwise Firefox replaces the page once more, and what is in it is lost
    page.close();
    this.inner = frame.contentWindow;
    this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    this.ready = new Promise((resolve) => {
      const script = page.createElement("script");
      script.src = address;
      script.onload = resolve;
      page.documentElement.append(script);
    });
  }

  postMessage(data) {
    this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;
