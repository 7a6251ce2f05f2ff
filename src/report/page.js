// The slider and the strip show one picture of a series large. Without this the last one is shown.
for (const film of document.querySelectorAll(".film")) {
  const [large, slider, now] = ["img", "input", ".now"].map((part) => film.querySelector(":scope > " + part));
  const buttons = [...film.querySelectorAll(".strip button")];
  if (!slider) continue;
  const show = (index) => {
    large.src = buttons[index].querySelector("img").src;
    large.alt = now.textContent = buttons[index].dataset.says;
    slider.value = index;
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === index));
    const strip = buttons[index].parentElement, to = buttons[index].offsetLeft - strip.offsetLeft;
    if (to < strip.scrollLeft || to + buttons[index].offsetWidth > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = to - 8;
  };
  slider.addEventListener("input", () => show(+slider.value));
  buttons.forEach((button, i) => button.addEventListener("click", () => show(i)));
  show(buttons.length - 1);
}
for (const button of document.querySelectorAll(".command button")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
