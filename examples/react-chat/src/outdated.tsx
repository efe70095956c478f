import { useEffect, useState } from "react";
import { useClient } from "./dialogue";

/** Says so when the server is a newer one than the page was made for. */
export function Outdated() {
  const client = useClient();
  const [outdated, setOutdated] = useState(false);

  useEffect(() => client.onContractChanged(() => setOutdated(true)), [client]);

  return (
    <div role="status">
      {outdated && (
        <p className="outdated">
          A new version is there.{" "}
          <button type="button" className="link" onClick={() => location.reload()}>
            Reload
          </button>
        </p>
      )}
    </div>
  );
}
