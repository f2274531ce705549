// The surface of al.show.canvas. A mouse, a pen or a finger draws; on the focused surface the arrow keys move a cursor,
// Space draws there, and Shift with an arrow draws on the way. `drawn` holds a bit a pixel, row by row, in base64.

function unpack(text, n) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Uint8Array.from({ length: n }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
}

function pack(bits) {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => (bytes[i >> 3] |= bit << (7 - (i & 7))));
  return btoa(String.fromCharCode(...bytes));
}

// Set what lies within half a brush of the way from one pixel to another.
function stroke(bits, [h, w], [y0, x0], [y1, x1], brush, value) {
  const [dy, dx] = [y1 - y0, x1 - x0], long = dy * dy + dx * dx, reach = Math.ceil(brush / 2);
  for (let y = Math.max(0, Math.min(y0, y1) - reach); y <= Math.min(h - 1, Math.max(y0, y1) + reach); y++)
    for (let x = Math.max(0, Math.min(x0, x1) - reach); x <= Math.min(w - 1, Math.max(x0, x1) + reach); x++) {
      const t = long ? Math.min(1, Math.max(0, ((y - y0) * dy + (x - x0) * dx) / long)) : 0;
      const [ey, ex] = [y - y0 - t * dy, x - x0 - t * dx];
      if (4 * (ey * ey + ex * ex) < brush * brush) bits[y * w + x] = value;
    }
}

function stripes(context) {
  const tile = new OffscreenCanvas(8, 8), paint = tile.getContext("2d");
  paint.fillStyle = "#FFFFFF";
  paint.fillRect(0, 0, 8, 8);
  paint.fillStyle = "#D55E00";
  for (let y = 0; y < 8; y++)
    for (let x = 0; x < 8; x++) if ((x + y) % 8 < 4) paint.fillRect(x, y, 1, 1);
  return context.createPattern(tile, "repeat");
}

function make(tag, parent, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

function render({ model, el }) {
  const size = model.get("size"), [h, w] = size, zoom = model.get("zoom"), hole = model.get("hole");
  let bits = unpack(model.get("drawn"), h * w), past = [], last = null, cursor = [h >> 1, w >> 1], keys = false;

  const canvas = make("canvas", el, { width: w * zoom, height: h * zoom, tabIndex: 0 });
  canvas.style.cssText = "display:block;max-width:100%;touch-action:none;cursor:crosshair;border:1px solid #777";
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${model.get("alt")}. Arrow keys move, Space draws, Shift with an arrow draws a line.`);
  const context = canvas.getContext("2d"), pattern = stripes(context), picture = new Image();

  const controls = make("div", el);
  controls.style.cssText = "display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:4px 0";
  const button = (words, action) => make("button", controls, { type: "button", textContent: words, onclick: action });
  button("Undo", () => { if (past.length) { bits = past.pop(); send(); } });
  button("Clear", () => { keep(); bits = new Uint8Array(h * w); send(); });
  const brushes = make("label", controls, { textContent: "brush " });
  const brush = make("input", brushes, { type: "range", min: 1, max: model.get("largest"), value: model.get("brush") });
  const erasing = make("label", controls);
  const eraser = make("input", erasing, { type: "checkbox" });
  erasing.append(" erase");

  function show() {
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#FFFFFF";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (picture.complete && picture.naturalWidth) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.fillStyle = hole ? pattern : "#000000";
    bits.forEach((bit, i) => { if (bit) context.fillRect((i % w) * zoom, Math.floor(i / w) * zoom, zoom, zoom); });
    if (!keys || document.activeElement !== canvas) return;
    context.lineWidth = 2;
    context.strokeStyle = "#0072B2";
    context.strokeRect(cursor[1] * zoom - 1, cursor[0] * zoom - 1, zoom + 2, zoom + 2);
  }

  function keep() { past = [...past.slice(-99), bits.slice()]; }
  function send() { show(); model.set("drawn", pack(bits)); model.save_changes(); }
  function draw(from, to) { stroke(bits, size, from, to, Number(brush.value), eraser.checked ? 0 : 1); show(); }
  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [Math.floor(((event.clientY - box.top) / box.height) * h), Math.floor(((event.clientX - box.left) / box.width) * w)];
  }

  canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    [last, keys] = [place(event), false];
    keep();
    draw(last, last);
  };
  canvas.onpointermove = (event) => {
    if (!last) return;
    for (const moved of event.getCoalescedEvents?.() ?? [event]) { const here = place(moved); draw(last, here); last = here; }
  };
  canvas.onpointerup = canvas.onpointercancel = () => { if (last) { last = null; send(); } };
  canvas.onfocus = canvas.onblur = show;
  canvas.onkeydown = (event) => {
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const way = ways[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation(); // or JupyterLab takes them
    keys = true;
    const to = way ? [Math.min(h - 1, Math.max(0, cursor[0] + way[0])), Math.min(w - 1, Math.max(0, cursor[1] + way[1]))] : cursor;
    const from = cursor;
    cursor = to;
    if (way && !event.shiftKey) return show();
    keep();
    draw(from, to);
    send();
  };

  picture.onload = show;
  picture.src = model.get("picture");
  model.on("change:drawn", () => { bits = unpack(model.get("drawn"), h * w); show(); });
  show();
}

export default { render };
