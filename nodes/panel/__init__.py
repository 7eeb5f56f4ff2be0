"""HTTP routes and websocket events for the browser part in web/."""
