// Shows the description that lies beside this page, whatever prefix both are served under and
// whether or not the path ends in a slash.
"use strict";
const description = location.pathname.replace(/\/$/, "").replace(/[^/]*$/, "openapi.yaml");
document.body.style.margin = 0;
Redoc.init(
  description,
  {
    disableSearch: true, // it would need a worker made from a string
    expandResponses: "200",
    jsonSamplesExpandLevel: "all",
    nativeScrollbars: true,
    requiredPropsFirst: true,
    theme: {
      colors: { primary: { main: "#14507a" } },
      sidebar: { width: "300px" },
      typography: {
        fontFamily: "system-ui, sans-serif",
        headings: { fontFamily: "system-ui, sans-serif" },
        code: { fontFamily: "ui-monospace, monospace", color: "#14507a" },
      },
    },
  },
  document.getElementById("reference"),
);
