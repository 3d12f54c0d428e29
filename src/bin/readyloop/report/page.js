// Shows the value of the point nearest to the pointer, or of the point with the focus.
// Without this script the titles of the points show the same text.
{
  const reach = 36;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  const show = (point) => {
    tip.hidden = !point;
    if (!point) return;
    tip.textContent = point.getAttribute("aria-label");
    const at = point.getBoundingClientRect();
    const half = tip.offsetWidth / 2;
    const middle = Math.min(Math.max(at.x + at.width / 2, half + 4), innerWidth - half - 4);
    const above = at.y - tip.offsetHeight - 4;
    tip.style.left = `${middle - half}px`;
    tip.style.top = `${above > 0 ? above : at.bottom + 4}px`;
  };

  const nearest = (points, x, y) => {
    let [best, distance] = [null, reach];
    for (const point of points) {
      const at = point.getBoundingClientRect();
      const away = Math.hypot(at.x + at.width / 2 - x, at.y + at.height / 2 - y);
      if (away < distance) [best, distance] = [point, away];
    }
    return best;
  };

  const charts = document.querySelectorAll("svg.chart");
  for (const chart of charts) {
    const points = [...chart.querySelectorAll(".point")];
    for (const point of points) {
      const title = point.querySelector("title");
      point.setAttribute("role", "img");
      point.setAttribute("aria-label", title.textContent);
      title.remove();
      point.addEventListener("focus", () => show(point));
      point.addEventListener("blur", () => show(null));
    }
    chart.addEventListener("pointermove", (event) => show(nearest(points, event.clientX, event.clientY)));
    chart.addEventListener("pointerleave", () => show(null));
  }
  // A browser test checks this attribute: the script ran to its end.
  document.documentElement.dataset.charts = charts.length;
}
