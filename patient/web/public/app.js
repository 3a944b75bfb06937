const feed = new WebSocket(`${location.origin.replace('http', 'ws')}/trades/follow?token=${sessionStorage.token}`);
feed.onmessage = (event) => document.querySelector('#trades').append(`${event.data}\n`);
