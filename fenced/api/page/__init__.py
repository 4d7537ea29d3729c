"""The page for the person on call, drawn by the server from what the API shows.

    routes      its addresses                 border    admission, errors as pages
      views     fleet, host, operation, ...   actions   forms, obeyed by the API's own handlers
      live      fragments as events happen    sessions  the cookie and the tokens of forms
      drawing   templates and their filters

It decides nothing: every action is a request of the API's route table, with the role that stands there. It works
without script; `assets/page.js` only replaces what changed (docs/adr/0031-the-page.md).
"""
