import { Film } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Asset } from '../../api/model';
import { clock } from '../../text/formats';

/** The picture of an asset, or a quiet sign while there is none. Decorative: the title stands next to it. */
export function Poster({ asset }: { asset: Asset }) {
  const url = api.posterUrl(asset);
  const [failed, setFailed] = useState('');
  const show = asset.has_poster !== false && asset.state !== 'uploading' && failed !== url;
  return (
    <>
      {show ? (
        <img src={url} alt="" loading="lazy" decoding="async" onError={() => setFailed(url)} />
      ) : (
        <Film className="poster-none" aria-hidden="true" />
      )}
      {asset.duration_ms ? <span className="asset-duration">{clock(asset.duration_ms / 1000)}</span> : null}
    </>
  );
}
