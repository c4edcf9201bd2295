const visits = Number((document.cookie.match(/visits=(\d+)/) || [0, 0])[1]) + 1;
document.cookie = `visits=${visits}; path=/; SameSite=Lax`;
document.getElementById("visits").textContent = `${visits}, counted in a cookie`;

const shown = document.getElementById("socket");
const socket = new WebSocket(`ws://${location.host}/live?room=1`);
socket.onopen = () => socket.send("hello");
socket.onmessage = (message) => { shown.textContent = `sent "hello", got "${message.data}" back`; };
socket.onerror = () => { shown.textContent = "no connection"; };
